"""Proposals are compared by their boxes, in whatever order they come."""

import numpy as np
import pytest

from detforge.deploy.contract.port import Arrays
from detforge.deploy.forms import Proposed
from detforge.export.comparison import TOLERANCES, Comparison
from detforge.export.verify_outputs import compare_outputs


def outputs() -> Arrays:
    """Forty proposals far apart, and ten rows of padding."""
    random = np.random.default_rng(0)
    place = np.stack(np.meshgrid(np.arange(8.0), np.arange(5.0)), -1).reshape(1, 40, 2) * 60
    proposals = np.zeros((1, 50, 4))
    proposals[:, :40] = np.concatenate((place, place + random.uniform(20, 50, place.shape)), -1)
    scores = np.zeros((1, 50, 3))
    scores[:, :40] = random.uniform(0, 1, (1, 40, 3))
    objectness = np.zeros((1, 50))
    objectness[:, :40] = np.linspace(0.9, 0.1, 40)
    boxes = proposals[:, :, None] + random.uniform(-5, 5, (1, 50, 3, 4))
    values = {"boxes": boxes, "scores": scores, "proposals": proposals, "objectness": objectness}
    return {name: value.astype(np.float32) for name, value in values.items()}


def problem(got: Arrays) -> str | None:
    comparison = Comparison(TOLERANCES["fp32"])
    compare_outputs(comparison, got, outputs(), Proposed(), (320, 480))
    assert comparison.detections == 40
    return comparison.problem


def test_the_order_does_not_count() -> None:
    order = np.random.default_rng(1).permutation(50)
    assert problem({name: value[:, order] for name, value in outputs().items()}) is None


@pytest.mark.parametrize("name", ["boxes", "scores", "objectness"])
def test_one_other_proposal_in_forty_counts(name: str) -> None:
    got = outputs()
    got[name][:, 7] += 0.5
    assert str(problem(got)).startswith(f"{name} differs")


def test_lost_proposals_count() -> None:
    got = outputs()
    for value in got.values():
        value[:, 5] = 0
    assert problem(got) == "only 39 of 40 detections match"


def test_padding_alone_is_the_same_only_as_padding() -> None:
    full, empty = outputs(), {name: np.zeros_like(value) for name, value in outputs().items()}
    for got, expected, problems in ((empty, empty, False), (full, empty, True), (empty, full, True)):
        comparison = Comparison(TOLERANCES["fp32"])
        compare_outputs(comparison, got, expected, Proposed(), (320, 480))
        assert (comparison.problem is not None) == problems


def test_rows_of_one_region_are_told_apart_by_score() -> None:
    expected = outputs()
    expected["proposals"][:, 1::2] = expected["proposals"][:, ::2]
    order = np.random.default_rng(1).permutation(50)
    comparison = Comparison(TOLERANCES["fp32"])
    got = {name: value[:, order] for name, value in expected.items()}
    compare_outputs(comparison, got, expected, Proposed(), (320, 480))
    assert comparison.problem is None
