"""The parity report on networks that give their best peaks, whose rows may change places."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from detforge.deploy.card import Provenance
from detforge.deploy.contract.port import Port
from detforge.deploy.forms import Corners, Peaks
from detforge.export import verify
from detforge.export.comparison import TOLERANCES, Comparison
from detforge.export.verify import compare
from detforge.models.zoo import find

COUNT = 40
SCORES = np.linspace(0.9, 0.1, COUNT)
SCORES[4] = SCORES[3]


class Network(nn.Module):
    """The same well separated peaks for every image: centres with boxes, or corners with tags."""

    def __init__(self, prefixes) -> None:
        super().__init__()
        random = np.random.default_rng(0)
        cells = np.stack(np.meshgrid(np.arange(8), np.arange(5)), -1).reshape(-1, 2) * 16.0
        self.rows = {}
        for i, prefix in enumerate(prefixes):
            places = cells + random.uniform(2, 6, cells.shape) + 8 * i
            rows = {
                "scores": SCORES,
                "labels": random.integers(0, 3, COUNT),
                "tags": random.normal(0, 1, COUNT),
                "points": places,
            }
            if not prefix:
                rows["boxes"] = np.concatenate((places, places + 6), 1)
                del rows["points"], rows["tags"]
            self.rows |= {prefix + name: value for name, value in rows.items()}

    def forward(self, image):
        types = {np.dtype(np.float64): torch.float32}
        rows = {name: torch.tensor(value, dtype=types.get(value.dtype)) for name, value in self.rows.items()}
        return {name: value.expand(len(image), *value.shape) for name, value in rows.items()}


def problem(monkeypatch, prefixes, spoil, precision="fp32"):
    """What the report says of a file in a precision whose outputs `spoil` changes."""
    network = Network(prefixes)

    class Backend:
        inputs = (Port("image", (None, 3, None, None)),)

        def run(self, feeds):
            outputs = {n: v.numpy().copy() for n, v in network(torch.from_numpy(feeds["image"])).items()}
            spoil(outputs)
            return outputs

    monkeypatch.setattr(verify, "open_backend", lambda path, **_: Backend())
    form = Peaks() if prefixes == ("",) else Corners()
    card = replace(find("centernet_test").card(("a", "b", "c"), Provenance("", None, "fp32", {})), form=form)
    result = compare(network, "peaks.onnx", card, form, None, TOLERANCES[precision])
    assert result.detections > 0
    return result.problem


def names(outputs, what):
    return [name for name in outputs if name.endswith(what)]


def nothing(outputs):
    pass


def swap_rows(outputs):
    for value in outputs.values():
        value[:, [3, 4]] = value[:, [4, 3]]


def other_labels(outputs):
    for name in names(outputs, "labels"):
        outputs[name][:] = 7


def move(outputs):
    for name in [*names(outputs, "boxes"), *names(outputs, "points")]:
        outputs[name] += 0.1


def lower(outputs):
    for name in names(outputs, "scores"):
        outputs[name] *= 0.99


def no_number(outputs):
    outputs[names(outputs, "scores")[0]][:, 5] = np.nan


def lose(outputs):
    """Ten of the best are missing."""
    for name, value in outputs.items():
        value[:] = np.roll(value, -10, 1)
        if name.endswith("scores"):
            value[:, -10:] = 0


def retag(outputs, by=0.01):
    for name in names(outputs, "tags"):
        outputs[name] += by


PREFIXES = pytest.mark.parametrize("prefixes", [("",), ("tl_", "br_")], ids=["peaks", "corners"])


@PREFIXES
def test_equal_files_pass(monkeypatch, prefixes):
    assert problem(monkeypatch, prefixes, nothing) is None


@PREFIXES
@pytest.mark.parametrize("spoil", [other_labels, move, lower, no_number, lose])
def test_broken_files_fail(monkeypatch, prefixes, spoil):
    assert problem(monkeypatch, prefixes, spoil) is not None


def test_broken_tags_fail(monkeypatch):
    assert "tags differs" in problem(monkeypatch, ("tl_", "br_"), retag)


def test_in_eight_bits_tags_are_judged_by_their_distances(monkeypatch):
    """Their cosine would be 0.96."""
    assert problem(monkeypatch, ("tl_", "br_"), retag, "int8") is None
    assert "tags differs" in problem(monkeypatch, ("tl_", "br_"), lambda outputs: retag(outputs, 0.3), "int8")


@PREFIXES
def test_nearly_equal_scores_may_change_places(monkeypatch, prefixes):
    assert problem(monkeypatch, prefixes, swap_rows) is None


@pytest.mark.parametrize(("jumps", "passes"), [(9, True), (11, False)])
def test_a_share_of_the_values_may_jump(jumps, passes):
    comparison = Comparison(TOLERANCES["fp32"])
    comparison.add("scores", (np.arange(100) < jumps).astype(np.float32), np.zeros(100, np.float32), jumps=0.1)
    assert (comparison.problem is None) is passes
