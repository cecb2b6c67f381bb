"""Adopted files find what their owners' programs found, from outputs recorded of real files."""

from pathlib import Path

import numpy as np
import pytest
from foreign_files import Recorded

from detforge.deploy import load
from detforge.export import adopt

BGR = """
preset = "picodet"
input = { color = "bgr", mean = [123.675, 116.28, 103.53], std = [58.395, 57.12, 57.375] }
"""


@pytest.mark.parametrize(
    ("name", "conf", "px"),
    [
        ("yolox", 0.3, 1e-3),
        ("picodet", 0.5, 1e-3),
        ("yunet", 0.6, 1e-3),
    ],
)
def test_detections_are_those_of_the_owner(name: str, conf: float, px: float, tmp_path: Path) -> None:
    recorded = Recorded(name)
    path = recorded.write(tmp_path / "foreign.onnx")
    (tmp_path / "bgr.toml").write_text(BGR, encoding="utf-8")
    how = {"card": tmp_path / "bgr.toml"} if name == "picodet" else {"preset_name": name}
    adopted = adopt(path, output=tmp_path / "ours.onnx", **how)
    assert adopted.comparison is not None and adopted.comparison.problem is None
    found = load(str(adopted.path), conf=conf)(recorded.image)
    assert len(found) == len(recorded.boxes)
    order = [int(np.abs(found.boxes - box).max(1).argmin()) for box in recorded.boxes]
    assert np.abs(found.boxes[order] - recorded.boxes).max() < px
    assert np.abs(found.scores[order] - recorded.scores).max() < 1e-4
    assert found.labels[order].tolist() == recorded.labels.tolist()
    if recorded.keypoints is not None:
        assert np.abs(found.keypoints[order][..., :2] - recorded.keypoints).max() < px
