"""The EM-Merger against its authors' numbers, and on what it was not made for."""

import time
from dataclasses import replace

import numpy as np
import pytest
from found import detections
from golden.reader import load_ops

from detforge.deploy.columns.quality import Quality
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.results.instances import Instances
from detforge.deploy.suppress import suppress
from detforge.deploy.suppress.merger import Mixture, collapsed, merged_boxes, winners

CASES = {case["name"]: case for case in load_ops("em_merger")}
SCENES = [name for name in CASES if name.startswith("em_merge")]
RULE = Suppress("merger", iou=0.3, max_det=1000)


def given(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Boxes, what they are ranked by, scores, and the (width, height) of the image."""
    rows = CASES[name]["in"]["rows"].astype(np.float64)
    height, width = CASES[name]["args"]["image_hw"]
    return rows[:, :4].astype(np.int64), rows[:, 4], rows[:, 5], (width, height)


def shelf(name: str) -> Instances:
    """The scene as detections, the mean of whose score and quality is what the authors rank by."""
    boxes, confidence, scores, size = given(name)
    quality = Quality((2 * confidence - scores).astype(np.float32))
    labels = np.zeros(len(boxes), np.int64)
    return replace(detections(boxes.astype(np.float32), scores.astype(np.float32), labels, quality), image_size=size)


@pytest.mark.parametrize("name", SCENES)
def test_boxes_of_clusters_equal_the_authors(name: str) -> None:
    boxes, confidence, _, size = given(name)
    np.testing.assert_allclose(merged_boxes(boxes, confidence, size), CASES[name]["out"]["candidates"], atol=1)


@pytest.mark.parametrize("name", SCENES)
def test_detections_equal_the_authors(name: str) -> None:
    kept = suppress(shelf(name), RULE)
    expected = CASES[name]["out"]["boxes"]
    np.testing.assert_array_equal(np.sort(kept.boxes, 0), np.sort(expected, 0))
    confidence = given(name)[1][CASES[name]["out"]["kept"]]
    np.testing.assert_allclose(kept.scores, -np.sort(-confidence), atol=1e-6)


@pytest.mark.parametrize("name", [name for name in CASES if name not in SCENES])
def test_collapsed_mixture_equals_the_authors(name: str) -> None:
    case = CASES[name]
    rows = case["in"]["gaussians"].astype(np.float64)
    parts = Mixture(rows[:, 4], rows[:, :2] - case["args"]["offset"], rows[:, 2:4, None] ** 2 * np.eye(2))
    mixture = collapsed(parts, case["args"]["k"])
    for ours, theirs in zip(mixture, ("beta", "mu", "cov"), strict=True):
        np.testing.assert_allclose(ours, case["out"][theirs], rtol=1e-4, atol=1e-4)


def test_classes_are_apart_unless_they_are_compared() -> None:
    found = shelf("em_merge_2")
    two = Instances.joined([found, replace(found, labels=found.labels + 1)])
    alone = suppress(found, RULE)
    kept = suppress(two, RULE)
    for label in (0, 1):
        np.testing.assert_array_equal(kept[kept.labels == label].boxes, alone.boxes)
    assert len(suppress(two, replace(RULE, class_agnostic=True))) < len(kept)
    assert len(suppress(found, replace(RULE, max_det=2))) == 2


def test_nothing_is_found_of_nothing_of_one_and_of_boxes_without_a_pixel() -> None:
    found = shelf("em_merge_2")
    assert len(suppress(found[:0], RULE)) == 0
    assert len(suppress(found[:1], RULE)) == 0  # one box alone is no evidence
    thin = replace(found, boxes=np.tile(np.float32([3.2, 4.0, 3.9, 90.0]), (len(found), 1)))
    outside = replace(found, boxes=found.boxes + np.float32(1e6))
    assert len(suppress(thin, RULE)) == len(suppress(outside, RULE)) == 0


def test_one_place_with_many_boxes_takes_no_more_than_a_moment() -> None:
    random = np.random.default_rng(0)
    corners = random.integers(0, 60, (1000, 2))
    boxes = np.concatenate((corners, corners + random.integers(20, 40, (1000, 2))), 1)
    start = time.process_time()
    rows = winners(boxes, random.uniform(0.3, 1, 1000), random.uniform(0.3, 1, 1000), (100, 100))
    assert time.process_time() - start < 5
    assert 1 <= len(rows) < 30
