"""A refinement behind other poses: what its network sees, and what it may change."""

from dataclasses import replace

import numpy as np
import pytest
from cards import CROPS

from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.contract.port import Port
from detforge.deploy.forms import Heatmaps
from detforge.deploy.inputs.crop import Crop
from detforge.deploy.inputs.network_inputs import PoseInput
from detforge.deploy.pipelines.crops import PoseEstimator
from detforge.deploy.pipelines.refined import Refined
from detforge.deploy.system.errors import UsageError

PICTURE = np.zeros((120, 160, 3), np.uint8)
BOXES = np.array([[10, 5, 70, 100], [80, 20, 150, 115]], np.float32)
PLACE = Crop((64, 48))
FIRST = replace(CROPS, inputs=(replace(CROPS.input, place=PLACE),), form=Heatmaps(flip=False))
REFINER = replace(FIRST, inputs=(*FIRST.inputs, PoseInput((0, 2, 1), 2.0)))


def estimator(card, count: int, peaks: list[tuple[int, int]], missing: int | None = None) -> PoseEstimator:
    """A network that sees the same cells (x, y) of 16x12 in each of `count` crops, and not the keypoint `missing`."""
    maps = np.zeros((count, 3, 16, 12), np.float32)
    for k, (x, y) in enumerate(peaks):
        maps[:, k, y, x] = 0.0 if k == missing else 0.5 + 0.1 * k
    backend = RecordedBackend({"heatmaps": maps}, {})
    backend.inputs = [Port(each.name, (None,)) for each in card.inputs]
    return PoseEstimator(backend, card)


def refined(count: int, missing: int | None = None) -> tuple[PoseEstimator, Refined]:
    first = estimator(FIRST, count, [(3, 2), (5, 8), (8, 12)], missing)
    return first, Refined(first, estimator(REFINER, count, [(6, 8), (2, 4), (9, 13)]))


def naive_place(pose: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    """Where a cell of the crop of a pose lies in the image: its bounds, 1.2 times as large, 20 px at least, at 3:4."""
    low, high = pose.min(0).astype(float), pose.max(0).astype(float)
    width, height = np.maximum(1.2 * (high - low), 20)
    width, height = max(width, 0.75 * height), max(height, width / 0.75)
    left, top = (low + high) / 2 - np.array([width, height]) / 2
    return np.array([left + cell[0] * width / 12, top + cell[1] * height / 16])


def test_places_are_the_refiner_s_and_all_else_is_not() -> None:
    first, both = refined(2)
    before, after = first(PICTURE, BOXES), both(PICTURE, BOXES)
    np.testing.assert_array_equal(after.boxes, BOXES)
    np.testing.assert_array_equal(after.scores, before.scores)
    np.testing.assert_array_equal(after.keypoints[..., 2], before.keypoints[..., 2])
    for old, new in zip(before.keypoints, after.keypoints, strict=True):
        for k, cell in enumerate([(6, 8), (2, 4), (9, 13)]):
            np.testing.assert_allclose(new[k, :2], naive_place(old[:, :2], cell), atol=1e-3)


def test_the_people_of_all_pictures_share_a_batch() -> None:
    """And each picture has its own people, some of them none."""
    _, both = refined(3)
    runs = []
    run = both.refiner._backend.run
    both.refiner._backend.run = lambda fed: runs.append(len(fed["pose"])) or run(fed)
    found = both([PICTURE, PICTURE, PICTURE], [BOXES, np.zeros((0, 4)), BOXES[:1]])
    assert runs == [3] and [len(one) for one in found] == [2, 0, 1]
    np.testing.assert_array_equal(found[0].keypoints[0], found[2].keypoints[0])
    assert not len(both(PICTURE, np.zeros((0, 4))))


def test_a_keypoint_that_was_not_found_stays() -> None:
    first, both = refined(2, missing=1)
    before, after = first(PICTURE, BOXES), both(PICTURE, BOXES)
    assert (before.keypoints[:, 1, 2] == 0).all()
    np.testing.assert_array_equal(after.keypoints[:, 1], before.keypoints[:, 1])
    assert (after.keypoints[:, [0, 2], :2] != before.keypoints[:, [0, 2], :2]).any()


def test_what_cannot_refine_is_refused() -> None:
    first = estimator(FIRST, 2, [(3, 2), (5, 8), (8, 12)])
    with pytest.raises(UsageError, match="does not refine poses"):
        Refined(first, first)
