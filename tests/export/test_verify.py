"""The parity report sees what is wrong, and says when there was nothing to see."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from detforge.deploy.card import Provenance
from detforge.deploy.contract.port import Port
from detforge.deploy.forms import Dense, Graph
from detforge.deploy.inputs.network_inputs import View
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.deploy.system.errors import InputError
from detforge.export import verify
from detforge.export.comparison import TOLERANCES, Comparison, Difference
from detforge.export.photographs import make_up, read_folder
from detforge.export.verify import compare
from detforge.export.verify_detections import compare_suppressed
from detforge.export.views import typical_batches
from detforge.models.zoo import VARIANTS

FORM = Dense((32,))


class Toy(nn.Module):
    """A box around every 32 px cell, scored by its mean brightness."""

    def forward(self, image):
        n, _, h, w = image.shape
        y, x = torch.meshgrid(torch.arange(0.0, h, 32), torch.arange(0.0, w, 32), indexing="ij")
        corners = torch.stack((x, y), -1).reshape(1, -1, 2).expand(n, -1, -1)
        scores = torch.nn.functional.avg_pool2d(image, 32).flatten(2).transpose(1, 2).sigmoid()
        return {"boxes": torch.cat((corners, corners + 32), -1), "scores": scores}


class FakeBackend:
    """Stands for the exported file: the toy, with something done to its outputs."""

    def __init__(self, spoil) -> None:
        self.spoil = spoil
        self.inputs = [Port("image", (None, 3, None, None))]

    def run(self, feeds):
        outputs = {name: value.numpy().copy() for name, value in Toy()(torch.from_numpy(feeds["image"])).items()}
        self.spoil(outputs)
        return outputs


def report(monkeypatch, spoil, images=None):
    monkeypatch.setattr(verify, "open_backend", lambda path, **_: FakeBackend(spoil))
    card = VARIANTS["gfl_test"].card(("a", "b", "c"), Provenance("", None, "fp32", {}))
    card = replace(card, form=FORM)
    return compare(Toy(), "toy.onnx", card, FORM, images, TOLERANCES["fp32"])


def test_equal_files_pass(monkeypatch):
    result = report(monkeypatch, lambda outputs: None)
    assert result.problem is None
    assert result.detections > 50
    assert (result.match_rate, result.box_shift_px, result.parity.max_abs) == (1.0, 0.0, 0.0)


def nan(outputs):
    outputs["scores"][0, 0, 0] = np.nan


def shifted(outputs):
    outputs["boxes"] += 1


def swapped(outputs):
    outputs["scores"] = outputs["scores"][..., ::-1]


@pytest.mark.parametrize("spoil", [nan, shifted, swapped])
def test_broken_files_fail(monkeypatch, spoil):
    result = report(monkeypatch, spoil)
    assert result.problem is not None
    assert np.isfinite(result.parity.max_abs)


def test_shapes_that_differ_fail():
    difference = Difference()
    difference.add(np.zeros((2, 3)), np.zeros((2, 4)), 1.0, TOLERANCES["fp32"])
    assert difference.excess == 1


@pytest.mark.parametrize(
    ("precision", "wrong", "passes"), [("fp32", 1, False), ("fp16", 10, True), ("fp16", 11, False)]
)
def test_a_few_values_of_half_precision_may_differ(precision, wrong, passes):
    comparison = Comparison(TOLERANCES[precision])
    expected = np.zeros((10, 100))
    got = expected.copy()
    got.flat[:wrong] = 1
    comparison.add("boxes", got, expected)
    assert (comparison.problem is None) == passes


def test_a_file_that_suppresses_is_compared_with_its_keypoints():
    """The network's quality is no output of such a file. In the first row a keypoint is 0.25 px off."""
    card = replace(VARIANTS["yunet_test"].card(("face",), Provenance("", None, "fp32")), form=Graph("none"))
    form, draw = Dense((32,), clip="none"), np.random.default_rng(0)
    corner = draw.uniform(0, 90, (1, 12, 2)).astype(np.float32)
    raw = {
        "boxes": np.concatenate((corner, corner + 4), -1),
        "scores": np.linspace(0.9, 0.7, 12, dtype=np.float32).reshape(1, 12, 1),
        "quality": np.ones((1, 12), np.float32),
        "keypoints": draw.uniform(0, 90, (1, 12, 10)).astype(np.float32),
    }
    scores = np.pad(raw["scores"][..., 0] ** 0.5, ((0, 0), (0, 88)))
    inside = {**raw, "scores": scores, "labels": np.zeros((1, 100), np.int64), "num": np.array([12])}
    inside["keypoints"] = raw["keypoints"].copy()
    inside["keypoints"][0, 0, 3] += 0.25
    comparison = Comparison(TOLERANCES["fp32"])
    frame = ResizedFrame((96, 128), (96, 128), (96, 128))
    compare_suppressed(comparison, inside, raw, card, form, [View(make_up((96, 128), 0), frame)])
    assert comparison.matched == comparison.detections == 24
    assert comparison.box_shift_px == pytest.approx(0.25, abs=1e-4)


def test_nothing_to_compare(monkeypatch):
    dark = [np.zeros((64, 64, 3), np.uint8)]

    class Dark(Toy):
        def forward(self, image):
            outputs = super().forward(image)
            return {**outputs, "scores": outputs["scores"] * 1e-3}

    monkeypatch.setattr(verify, "open_backend", lambda path, **_: FakeBackend(lambda o: o["scores"].__imul__(1e-3)))
    card = VARIANTS["gfl_test"].card(("a", "b", "c"), Provenance("", None, "fp32", {}))
    result = compare(Dark(), "toy.onnx", replace(card, form=FORM), FORM, dark, TOLERANCES["fp32"])
    assert (result.detections, result.problem) == (0, None)


def test_batches_follow_a_fixed_size():
    card = VARIANTS["gfl_test"].card(("a", "b", "c"), Provenance("", None, "fp32"))
    card = card.with_place(card.input.place.fixed((64, 96)))
    batches = list(typical_batches([make_up((50, 70), i) for i in range(4)], card, 3))
    assert [[view.frame.canvas_size for view in batch] for batch in batches] == [[(64, 96)] * 3] * 2


def test_made_up_pictures_are_the_same_every_time():
    assert np.array_equal(make_up((48, 64), 5), make_up((48, 64), 5))
    assert make_up((48, 64), 5).std() > 20


def test_folder_of_pictures(tmp_path):
    with pytest.raises(InputError):
        read_folder(tmp_path)
    with pytest.raises(InputError):
        read_folder(tmp_path / "none")
    for i in range(10):
        cv2.imwrite(str(tmp_path / f"{i}.png"), make_up((20, 30), i))
    images = read_folder(tmp_path)
    assert len(images) == 8
    assert np.array_equal(images[3], make_up((20, 30), 3))
