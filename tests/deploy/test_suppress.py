"""NMS against the naive float64 oracle."""

import numpy as np
import pytest
from oracles import iou, nms

from detforge.deploy import _native
from detforge.deploy.card import Suppress
from detforge.deploy.decode.candidates import Candidates
from detforge.deploy.suppress import suppress


def clusters(n: int, seed: int) -> Candidates:
    """Boxes that overlap a lot, with many equal scores, in three classes."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 4, (n, 2)) * 40 + rng.normal(0, 4, (n, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(10, 50, (n, 2))), 1).astype(np.float32)
    scores = (rng.integers(1, 20, n) / 20).astype(np.float32)
    return Candidates(boxes, scores, rng.integers(0, 3, n))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("n", [0, 1, 2, 50, 400])
def test_equals_the_oracle(n: int, threshold: float) -> None:
    found = clusters(n, seed=n)
    kept = _native.nms(found.boxes, found.scores, found.labels, threshold, 1000)
    assert kept.tolist() == nms(found.boxes, found.scores, found.labels, threshold, 1000)


def test_the_limit_counts_what_stays() -> None:
    found = clusters(300, seed=5)
    assert suppress(found, Suppress(max_det=7)).scores.tolist() == pytest.approx(
        found.scores[nms(found.boxes, found.scores, found.labels, 0.6, 7)].tolist()
    )


def test_other_classes_do_not_suppress() -> None:
    box = np.array([[0, 0, 10, 10]] * 2, np.float32)
    kept = suppress(Candidates(box, np.array([0.9, 0.8], np.float32), np.array([0, 1])), Suppress())
    assert len(kept.scores) == 2


def test_none_keeps_every_box_in_order_of_score() -> None:
    found = clusters(100, seed=8)
    kept = suppress(found, Suppress(kind="none", max_det=1000))
    assert kept.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_empty_boxes_never_suppress() -> None:
    boxes = np.array([[5, 5, 5, 5]] * 3, np.float32)
    kept = _native.nms(boxes, np.array([1, 2, 3], np.float32), np.zeros(3, np.int64), 0.0, 10)
    assert kept.tolist() == [2, 1, 0]
    assert iou(boxes[0], boxes[1]) == 0.0


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        _native.nms(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(2, np.int64), 0.5, 10)
