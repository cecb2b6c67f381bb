"""NMS against the naive float64 oracle."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import COLOR_CARD, write_color_model
from found import detections
from golden.reader import load_ops
from oracles import iou, nms, soft_nms

from detforge.deploy import _native, load
from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.columns.proposal import Proposal
from detforge.deploy.columns.quality import Quality
from detforge.deploy.columns.visible import Visible
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Peaks
from detforge.deploy.pipelines.detector import Detector
from detforge.deploy.results.instances import Instances
from detforge.deploy.suppress import suppress
from detforge.deploy.system.errors import IncompatibleError, UsageError


def clusters(n: int, seed: int) -> Instances:
    """Boxes that overlap a lot, with many equal scores, in three classes."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 4, (n, 2)) * 40 + rng.normal(0, 4, (n, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(10, 50, (n, 2))), 1).astype(np.float32)
    scores = (rng.integers(1, 20, n) / 20).astype(np.float32)
    return detections(boxes, scores, rng.integers(0, 3, n))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("n", [0, 1, 2, 50, 400])
def test_equals_the_oracle(n: int, threshold: float) -> None:
    found = clusters(n, seed=n)
    kept = _native.nms(found.boxes, found.scores, found.labels, threshold, 1000)
    assert kept.tolist() == nms(found.boxes, found.scores, found.labels, threshold, 1000)


@pytest.mark.parametrize("threshold", [0.0, 0.02, 1 / 3, 0.5, 0.9])
@pytest.mark.parametrize("spread", [0.1, 1.5])
@pytest.mark.parametrize("classes", [1, 3])
def test_many_boxes_of_all_sizes_equal_the_oracle(classes: int, spread: float, threshold: float) -> None:
    """So many stay that they are looked for by size and place."""
    rng = np.random.default_rng(int(spread * 10) + classes)
    sides = np.exp(rng.normal(3, spread, (900, 2)))
    corner = rng.uniform(-300, 1300, (900, 2))
    boxes = np.round(np.concatenate((corner, corner + sides), 1) * 2).astype(np.float32) / 2
    scores = (rng.integers(1, 50, 900) / 50).astype(np.float32)
    labels = rng.integers(0, classes, 900) * 10**12 - 5
    expected = nms(boxes, scores, labels, threshold, 10_000)
    assert len(expected) > 256 * 2
    assert _native.nms(boxes, scores, labels, threshold, 10_000).tolist() == expected


def test_an_iou_of_just_the_threshold_does_not_suppress() -> None:
    """3 of 5 px are shared: an IoU of 0.6, which float32 cannot hold."""
    boxes = np.array([[0, 0, 4, 1], [1, 0, 5, 1], [1e6, 0, 1e6 + 4, 1], [1e6 + 1, 0, 1e6 + 5, 1]], np.float32)
    scores, labels = np.ones(4, np.float32), np.zeros(4, np.int64)
    assert _native.nms(boxes, scores, labels, 0.6, 9).tolist() == [0, 1, 2, 3]
    assert _native.nms(boxes, scores, labels, np.nextafter(0.6, 0), 9).tolist() == [0, 2]


def test_undefined_and_endless_boxes_neither_suppress_nor_go() -> None:
    inf, nan = np.inf, np.nan
    odd = [[0, 0, nan, 10], [nan, 0, 10, 10], [-inf, -inf, inf, inf], [0, 0, 3e38, 3e38], [9, 9, 0, 0]]
    boxes = np.array(odd * 2 + [[0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    scores = np.array([0.9] * 10 + [0.5, 0.4], np.float32)
    for threshold in (0.01, 0.5):
        kept = _native.nms(boxes, scores, np.zeros(12, np.int64), threshold, 100).tolist()
        assert set(kept) >= {0, 1, 2, 4, 5, 6, 7, 9, 10} and 11 not in kept


@pytest.mark.parametrize("scale", [1e-24, 2e-24, 4e-24, 3e17, 6e17, 1e18, 1e19])
def test_areas_beyond_the_range_of_float32_are_compared_as_others(scale: float) -> None:
    found = clusters(200, seed=9)
    boxes = found.boxes * np.float32(scale)
    for threshold in (0.02, 0.3, 0.6):
        expected = nms(boxes, found.scores, found.labels, threshold, 1000)
        assert _native.nms(boxes, found.scores, found.labels, threshold, 1000).tolist() == expected


def test_sides_beyond_the_range_of_float32_are_compared_as_others() -> None:
    boxes = np.array([[0, -3.4e38, 0.16, 0], [0, -3.4e38, 0.16, 6e35], [0, -1e38, 0.16, 3e38]], np.float32)
    scores, labels = np.array([3, 2, 1], np.float32), np.zeros(3, np.int64)
    for threshold in (0.1, 0.9):
        expected = nms(boxes, scores, labels, threshold, 9)
        assert _native.nms(boxes, scores, labels, threshold, 9).tolist() == expected


@pytest.mark.parametrize("threshold", [-0.1, np.nan])
def test_thresholds_below_zero_are_refused(threshold: float) -> None:
    found = clusters(2, seed=0)
    with pytest.raises(ValueError, match="threshold"):
        _native.nms(found.boxes, found.scores, found.labels, threshold, 10)
    with pytest.raises(ValueError, match="threshold"):
        _native.guided_nms(found.boxes, found.scores, found.scores, found.labels, threshold, 10)


def test_scores_of_either_sign_are_ordered_and_undefined_ones_are_last() -> None:
    scores = np.array([-0.0, 0.0, -1, np.nan, 2, np.inf, -np.inf, 1e-40, 2], np.float32)
    apart = 100.0 * np.arange(9, dtype=np.float32)[:, None] + np.array([0, 0, 9, 9], np.float32)
    kept = _native.nms(apart, scores, np.zeros(9, np.int64), 0.5, 100)
    assert kept.tolist() == [5, 4, 8, 7, 0, 1, 2, 6, 3]


def guided(boxes: np.ndarray, scores: np.ndarray, quality: np.ndarray, labels: np.ndarray, threshold: float) -> list:
    """Algorithm 1 of arXiv 1807.11590, class by class, as (score, index), best first."""
    found = []
    for label in set(labels.tolist()):
        left = sorted(np.flatnonzero(labels == label).tolist(), key=lambda i: (-quality[i], i))
        while left:
            best, *rest = left
            gone = [i for i in rest if iou(boxes[best], boxes[i]) > threshold]
            found.append((max(float(scores[i]) for i in (best, *gone)), best))
            left = [i for i in rest if i not in gone]
    return sorted(found, key=lambda pair: -pair[0])


@pytest.mark.parametrize("threshold", [0.0, 0.4, 1.0])
def test_guided_by_quality_equals_its_definition(threshold: float) -> None:
    found = clusters(150, seed=3)
    rng = np.random.default_rng(4)
    scores, quality = (rng.permutation(150).astype(np.float32) / 150 for _ in range(2))
    expected = guided(found.boxes, scores, quality, found.labels, threshold)
    spec = Suppress(kind="guided", iou=threshold, max_det=20)
    kept = suppress(detections(found.boxes, scores, found.labels, Quality(quality)), spec)
    np.testing.assert_array_equal(kept.boxes, found.boxes[[i for _, i in expected]][:20])
    np.testing.assert_array_equal(kept.scores, [np.float32(score) for score, _ in expected][:20])


def covered(boxes: np.ndarray, order: list[int], labels: np.ndarray, threshold: float) -> list[int]:
    """LFFD's rule, pair by pair: the shared part, with its last pixel, over the area of the worse box."""
    kept: list[int] = []
    for i in order:
        x1, y1, x2, y2 = boxes[i].astype(float)
        shares = [
            max(0.0, min(x2, u2) - max(x1, u1) + 1) * max(0.0, min(y2, v2) - max(y1, v1) + 1) / ((x2 - x1) * (y2 - y1))
            for k in kept
            if labels[k] == labels[i]
            for u1, v1, u2, v2 in [boxes[k].astype(float)]
        ]
        if max(shares, default=0.0) <= threshold:
            kept.append(i)
    return kept


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_covered_boxes_go_as_in_lffd(threshold: float, agnostic: bool) -> None:
    found = clusters(150, seed=5)
    order = sorted(range(150), key=lambda i: (-found.scores[i], i))
    labels = np.zeros(150) if agnostic else found.labels
    expected = covered(found.boxes, order, labels, threshold)
    kept = suppress(found, Suppress("covered", iou=threshold, max_det=20, class_agnostic=agnostic))
    np.testing.assert_array_equal(kept.boxes, found.boxes[expected][:20])


def test_a_small_box_in_a_large_one_is_covered() -> None:
    boxes = np.array([[0, 0, 100, 100], [40, 40, 60, 60], [300, 300, 320, 320]], np.float32)
    better, worse = detections(boxes, np.float32([0.9, 0.8, 0.7]), [0, 0, 0]), np.float32([0.7, 0.8, 0.9])
    assert len(suppress(better, Suppress("covered", iou=0.5))) == 2
    assert len(suppress(replace(better, scores=worse), Suppress("covered", iou=0.5))) == 3
    assert len(suppress(better[[]], Suppress("covered", iou=0.5))) == 0


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("inclusive", [False, True])
def test_visible_regions_decide_and_whole_boxes_stay(threshold: float, inclusive: bool) -> None:
    found = clusters(150, seed=6)
    seen = np.concatenate((found.boxes[:, :2], found.boxes[:, :2] + np.float32(9)), 1)
    ends = seen + np.array([0, 0, 1, 1], np.float32) if inclusive else seen
    expected = nms(ends, found.scores, found.labels, threshold, 20)
    spec = Suppress(kind="visible", iou=threshold, max_det=20, inclusive=inclusive)
    kept = suppress(found.with_columns(Visible(seen)), spec)
    np.testing.assert_array_equal(kept.boxes, found.boxes[expected])
    np.testing.assert_array_equal(kept.scores, found.scores[expected])


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("inclusive", [False, True])
def test_boxes_of_one_proposal_stay_together(threshold: float, inclusive: bool) -> None:
    found = clusters(150, seed=8)
    proposals = np.arange(150) // 2
    ends = (found.boxes + np.array([0, 0, inclusive, inclusive], np.float32)).astype(np.float64)
    kept: list[int] = []
    for i in np.argsort(-found.scores, kind="stable"):
        rivals = [j for j in kept if found.labels[j] == found.labels[i] and proposals[j] != proposals[i]]
        if all(iou(ends[i], ends[j]) <= threshold for j in rivals):
            kept.append(int(i))
    spec = Suppress(kind="set", iou=threshold, max_det=20, inclusive=inclusive)
    left = suppress(found.with_columns(Proposal(proposals)), spec)
    np.testing.assert_array_equal(left.boxes, found.boxes[kept[:20]])
    np.testing.assert_array_equal(left.proposal, proposals[kept[:20]])


def test_joined_proposals_are_different_ones() -> None:
    parts = [Proposal(np.array(values)) for values in ([1, 0, 1], [], [0, 2])]
    np.testing.assert_array_equal(Proposal.joined(parts).values, [1, 0, 1, 2, 4])


@pytest.mark.parametrize("case", load_ops("visible_nms"), ids=lambda case: case["name"])
def test_crowds_are_told_apart_by_what_can_be_seen(case: dict[str, Any]) -> None:
    given, iou_limit = case["in"], case["args"]["iou_threshold"]
    found = detections(given["full"], given["scores"], np.zeros(len(given["scores"]), np.int64))
    for kind, expected in (("visible", "keep_r2nms"), ("hard", "keep_nms_full")):
        spec = Suppress(kind, iou=iou_limit, max_det=1000)
        kept = suppress(found.with_columns(Visible(given["visible"])), spec)
        np.testing.assert_array_equal(kept.boxes, given["full"][case["out"][expected]])


def test_two_people_behind_one_another_are_two_by_what_can_be_seen() -> None:
    boxes = np.array([[[0, 0, 60, 60], [4, 0, 64, 60], [2, 0, 62, 60], [0, 0, 1, 1]]], np.float32)
    seen = np.array([[[0, 0, 60, 60], [50, 0, 64, 60], [1, 0, 60, 60], [0, 0, 1, 1]]], np.float32)
    scores = np.array([[[0.9], [0.8], [0.7], [0]]], np.float32)
    backend = RecordedBackend({"boxes": boxes, "scores": scores, "visible": seen}, {})
    card = replace(COLOR_CARD, labels=("person",))
    hard, visible = (
        Detector(backend, replace(card, suppress=Suppress(kind=kind, iou=0.5)))(np.zeros((128, 128, 3), np.uint8))
        for kind in ("hard", "visible")
    )
    assert hard.scores.tolist() == pytest.approx([0.9])
    np.testing.assert_array_equal(visible.boxes, 2 * boxes[0, :2])


@pytest.mark.parametrize(("kind", "output"), [("guided", "quality"), ("visible", "visible")])
def test_what_is_compared_must_be_given(color_model: Path, tmp_path: Path, kind: str, output: str) -> None:
    with pytest.raises(UsageError, match=f"has no output '{output}' to suppress by"):
        load(str(color_model), nms=kind)
    card = replace(COLOR_CARD, suppress=Suppress(kind=kind))
    with pytest.raises(IncompatibleError, match=f"lacks the output {output}"):
        load(str(write_color_model(tmp_path / "colors.onnx", card.to_json())))
    with pytest.raises(FieldError, match=r"suppress\.kind"):
        replace(card, form=Peaks())


def test_the_limit_counts_what_stays() -> None:
    found = clusters(300, seed=5)
    assert suppress(found, Suppress(max_det=7)).scores.tolist() == pytest.approx(
        found.scores[nms(found.boxes, found.scores, found.labels, 0.6, 7)].tolist()
    )


@pytest.mark.parametrize("kind", ["hard", "guided"])
def test_without_classes_all_are_compared(kind: str) -> None:
    found = clusters(200, seed=7)
    quality = found.scores.copy()
    kept = suppress(found.with_columns(Quality(quality)), Suppress(kind, max_det=1000, class_agnostic=True))
    expected = nms(found.boxes, found.scores, np.zeros(200, np.int64), 0.6, 1000)
    np.testing.assert_array_equal(kept.boxes, found.boxes[expected])
    np.testing.assert_array_equal(kept.labels, found.labels[expected])


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("kind", ["visible", "linear", "gaussian"])
def test_every_kind_compares_all_classes_where_asked(kind: str, inclusive: bool) -> None:
    found = clusters(120, seed=11)
    scores = np.random.default_rng(0).permutation(np.linspace(0.05, 1, 120)).astype(np.float32)
    seen = np.concatenate((found.boxes[:, :2], found.boxes[:, :2] + np.float32(9)), 1)
    of_one_class, rule = np.zeros(120, np.int64), Suppress(kind, 0.1, 0.4, 1000, inclusive, class_agnostic=True)
    ends = (seen if kind == "visible" else found.boxes) + np.array([0, 0, inclusive, inclusive], np.float32)
    if kind == "visible":
        expected = [(i, scores[i]) for i in nms(ends, scores, of_one_class, 0.4, 1000)]
    else:
        expected = soft_nms(ends, scores, of_one_class, 0.4, 0.5 if kind == "gaussian" else None, 0.1)
    kept = suppress(detections(found.boxes, scores, found.labels, Visible(seen)), rule)
    rows = [i for i, _ in expected]
    np.testing.assert_array_equal(kept.boxes, found.boxes[rows])
    np.testing.assert_array_equal(kept.labels, found.labels[rows])
    assert len(set(kept.labels.tolist())) == 3
    np.testing.assert_allclose(kept.scores, [score for _, score in expected], rtol=1e-5)
    assert len(kept) < len(
        suppress(detections(found.boxes, scores, found.labels, Visible(seen)), replace(rule, class_agnostic=False))
    )


def test_other_classes_do_not_suppress() -> None:
    box = np.array([[0, 0, 10, 10]] * 2, np.float32)
    kept = suppress(detections(box, np.array([0.9, 0.8], np.float32), np.array([0, 1])), Suppress())
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
