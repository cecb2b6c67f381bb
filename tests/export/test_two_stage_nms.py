"""Suppression inside the file of a two-stage network against the runtime's own."""

import numpy as np
import pytest
import torch
from lively import lively_weights, small_canvas

from detforge.deploy import Detector
from detforge.deploy.backends.ort import OrtBackend
from detforge.export import export
from detforge.export.photographs import make_up
from detforge.models.zoo import VARIANTS

pytestmark = [pytest.mark.slow, pytest.mark.long]

NAME = "faster_rcnn_test"
CONF, MAX_DET = 0.05, 100
PICTURES = [make_up((120, 160), 0), make_up((160, 120), 1)]


def test_graph_equals_the_runtime(tmp_path):
    torch.save(lively_weights(NAME), tmp_path / "weights.pth")
    canvas = small_canvas(VARIANTS[NAME].input.place)
    found = []
    for nms in ("none", "graph"):
        path = tmp_path / f"{nms}.onnx"
        weights = str(tmp_path / "weights.pth")
        report = export(NAME, checkpoint=weights, imgsz=canvas, nms=nms, conf=CONF, max_det=MAX_DET, output=path)
        found.append(Detector(OrtBackend(str(path)), report.card)(PICTURES))
    for ours, given in zip(*found, strict=True):
        assert len(ours) == len(given) > 20
        np.testing.assert_allclose(given.scores, ours.scores, atol=1e-5)
        np.testing.assert_allclose(given.boxes, ours.boxes, atol=1e-2)
        np.testing.assert_array_equal(given.labels, ours.labels)
