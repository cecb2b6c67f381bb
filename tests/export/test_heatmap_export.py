"""Networks that read heatmaps: from name to file, verified, and run by the runtime."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from lively import lively_weights

from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.detinfer import cli
from detforge.deploy.forms import Centripetal, Extremes
from detforge.deploy.loader import load
from detforge.deploy.pipelines.detector import Detector
from detforge.deploy.system.errors import UsageError
from detforge.export import export
from detforge.export.photographs import make_up
from detforge.models.checkpoint import random_model
from detforge.models.zoo import find

pytestmark = pytest.mark.slow

NETWORKS = ("centernet_test", "cornernet_test", "centripetalnet_test", "extremenet_test")
SIZES = {
    "centernet_test": (128, 160),
    "cornernet_test": (127, 255),
    "centripetalnet_test": (127, 255),
    "extremenet_test": (127, 255),
}


class TorchBackend:
    """The network in PyTorch as a backend."""

    def __init__(self, model, ports):
        self.model, self.inputs, self.outputs, self.metadata = model, ports.inputs, ports.outputs, {}

    def run(self, feeds):
        with torch.inference_mode():
            return {name: value.numpy() for name, value in self.model(torch.from_numpy(feeds["image"])).items()}


# The others differ from CornerNet in the grouping, which is not in the file.
@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[] if name in NETWORKS[:2] else pytest.mark.long) for name in NETWORKS],
)
def report(request, tmp_path_factory):
    """The default export: fp32, every axis free, verified."""
    name, folder = request.param, tmp_path_factory.mktemp("heatmap")
    # Where the scores along an edge are nearly equal, as with random weights, rounding decides where they rise.
    torch.save(lively_weights(name), folder / "weights.pth")
    return export(name, checkpoint=str(folder / "weights.pth"), output=folder / f"{name}.onnx")


def test_canvases_of_the_rule_were_verified(report):
    pad = report.card.input.place.pad
    runs = report.comparison.runs
    assert len({shape[2:] for shape in runs}) == 2 and {shape[0] for shape in runs} == {1, 2}
    surplus = 1 if pad.rule == "or" else 0
    assert all((side + surplus) % pad.multiple == 0 for shape in runs for side in shape[2:])
    assert report.comparison.detections > 100
    assert report.card.provenance.parity.match_rate == 1


def test_no_normalisation_is_left(report):
    import onnx

    assert "BatchNormalization" not in {node.op_type for node in onnx.load(report.path).graph.node}


def test_photographs_of_any_size_give_what_pytorch_gives(report):
    card = load(str(report.path), conf=0.05).card
    if isinstance(card.form, Centripetal):  # random centres are seldom in the middle of a box
        card = replace(card, form=replace(card.form, shrink=(1.0, 1.0), spread=1.0))
    if isinstance(card.form, Extremes):
        card = replace(card, form=replace(card.form, least_point=0.0, least_centre=0.0))
    network = random_model(find(report.card.model))
    network.load_state_dict(torch.load(report.path.parent / "weights.pth"))
    backend = OrtBackend(str(report.path))
    detector, reference = Detector(backend, card), Detector(TorchBackend(network, backend), card)
    images = [make_up(size, seed) for seed, size in enumerate([(120, 161), (97, 250), (120, 161)])]
    for image, found in zip(images, detector(images), strict=True):
        alone, expected = detector(image), reference(image)
        assert len(expected) > 0
        for ours in (found, alone):
            # Where two scores are nearly equal their order may differ.
            same = (ours.labels[:, None] == expected.labels) & (np.abs(ours.scores[:, None] - expected.scores) < 1e-5)
            same &= np.abs(ours.boxes[:, None] - expected.boxes).max(2) < 1e-2
            assert same.any(0).all() and same.any(1).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_fixed_canvas_in_half_precision(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"checkpoint": "random", "imgsz": SIZES[name], "batch": 2, "precision": "fp16"}
    report = export(name, **options, output="m.onnx")
    assert report.comparison.runs == [(2, 3, *SIZES[name])]
    cv2.imwrite("a.png", make_up((90, 130), 0))
    assert cli.main(["a.png", "--model", "m.onnx", "--conf", "0.05", "--json", "-", "--no-save"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found or name == "centripetalnet_test"
    assert all(row["image_size"] == [130, 90] for row in found)
    assert all(np.isfinite(row["bbox"]).all() for row in found)
    assert not Path("runs").exists()


def test_what_such_networks_cannot_have(tmp_path):
    with pytest.raises(UsageError, match="decoded at run time"):
        export("centernet_test", checkpoint="random", nms="graph", output=tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="use 127 or 255"):
        export("cornernet_test", checkpoint="random", imgsz=(128, 128), output=tmp_path / "m.onnx")
