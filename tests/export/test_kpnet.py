"""KPNet through the whole door."""

from pathlib import Path

import numpy as np
import pytest

from detforge.deploy import load
from detforge.export import export
from detforge.export.photographs import make_up


@pytest.mark.slow
def test_exported_and_run(tmp_path: Path) -> None:
    report = export("kpnet_test", checkpoint="random", imgsz=(96, 128), output=tmp_path / "kpnet.onnx")
    assert report.comparison.problem is None
    found = load(str(report.path), conf=0.0)(make_up((90, 120), 0))
    assert len(found) > 0
    assert found.keypoints.shape == (len(found), 5, 3)
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1], rtol=0.05)
    assert sides.min() > 25
