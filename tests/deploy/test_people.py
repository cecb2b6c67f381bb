"""Poses that the graph has decoded: what the form keeps of them, and outputs that no network gives."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from found import candidates_in
from numpy.typing import NDArray

from detforge.deploy.card import Provenance
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.forms import People
from detforge.deploy.inputs.crop import WarpedFrame
from detforge.deploy.results.instances import Instances
from detforge.deploy.system.errors import IncompatibleError
from detforge.models.zoo import find

PAIR = Skeleton(("head", "foot"), ((0, 1),), (), (0.1, 0.1))
# The image is twice as large as the canvas.
FRAME = WarpedFrame((128, 256), (64, 128), (128, 64), (256, 128), False)


def found(outputs: dict[str, NDArray[Any]]) -> Instances:
    variant = find("cid_test")
    card = replace(variant.card(("person",), Provenance("", None, "fp32", {})), form=People(), skeleton=PAIR)
    return candidates_in(outputs, card, FRAME)


def two_people() -> dict[str, NDArray[Any]]:
    return {
        "centres": np.array([[20, 20], [60, 20], [0, 0]], np.float32),
        "scores": np.array([0.9, 0.5, 0.005], np.float32),
        "labels": np.zeros(3, np.int64),
        "keypoints": np.array([[20, 10, 22, 30], [60, 15, 61, 25], [0, 0, 0, 0]], np.float32),
        "keypoint_scores": np.array([[0.8, 0.6], [0.4, 0.2], [0.001, 0.001]], np.float32),
    }


def test_people_in_px_of_the_image() -> None:
    people = found(two_people())
    np.testing.assert_allclose(people.keypoints[0], [[40, 20, 0.8], [44, 60, 0.6]], rtol=1e-6)
    np.testing.assert_allclose(people.boxes, [[40, 20, 44, 60], [120, 30, 122, 50]])
    np.testing.assert_allclose(people.scores, [0.7, 0.3], rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(value: float) -> None:
    outputs = two_people()
    outputs["keypoints"][0, 1] = value
    assert len(found(outputs)) == 1
    outputs["keypoint_scores"][1, 1] = value
    outputs["scores"][2] = np.nan
    people = found(outputs)
    assert len(people) == 0 and people.keypoints.shape == (0, 2, 3)


def test_other_keypoints_than_the_card_says() -> None:
    outputs = two_people() | {"keypoint_scores": np.zeros((3, 5), np.float32)}
    with pytest.raises(IncompatibleError, match="5 keypoints, its Card's skeleton has 2"):
        found(outputs)


def test_parameters_out_of_range() -> None:
    with pytest.raises(ValueError, match="least_centre"):
        People(least_centre=2.0)
