"""Boxes that vote against the definition, pair by pair."""

from dataclasses import replace

import numpy as np
import pytest
from found import detections

from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.suppress import suppress


def iou(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize("kind", ["hard", "gaussian"])
def test_each_box_is_the_weighted_mean_of_its_class(kind):
    draw = np.random.default_rng(0)
    low = draw.uniform(0, 60, (80, 2))
    boxes = np.column_stack((low, low + draw.uniform(8, 40, (80, 2)))).astype(np.float32)
    scores, labels = draw.uniform(0.2, 1, 80).astype(np.float32), draw.integers(0, 3, 80)
    found, rule = detections(boxes, scores, labels), Suppress(kind, conf=0.1, iou=0.5, max_det=30, voting=True)
    still, voted = suppress(found, replace(rule, voting=False)), suppress(found, rule)
    assert voted.scores.tolist() == still.scores.tolist()
    assert voted.labels.tolist() == still.labels.tolist()
    assert len(voted) == 30
    for box, kept, label in zip(voted.boxes, still.boxes, still.labels, strict=True):
        votes = [
            (np.exp(-((1 - iou(kept, other)) ** 2) / 0.025) * score, other)
            for other, score, own in zip(boxes.astype(np.float64), scores, labels, strict=True)
            if own == label and iou(kept, other) > 0.01
        ]
        expected = sum(weight * other for weight, other in votes) / sum(weight for weight, _ in votes)
        np.testing.assert_allclose(box, expected, atol=1e-4)


def test_boxes_of_one_object_are_averaged():
    draw = np.random.default_rng(1)
    low = draw.uniform(0, 20, (60, 2))
    boxes = np.column_stack((low, low + draw.uniform(20, 40, (60, 2)))).astype(np.float32)
    scores, labels = draw.uniform(0.2, 1, 60).astype(np.float32), draw.integers(0, 2, 60)
    found, rule = detections(boxes, scores, labels), Suppress("average", conf=0.1, iou=0.3)
    still, voted = suppress(found, replace(rule, kind="hard")), suppress(found, rule)
    assert voted.scores.tolist() == still.scores.tolist()
    moved = 0
    for box, kept, label in zip(voted.boxes, still.boxes, still.labels, strict=True):
        near = [i for i in range(60) if labels[i] == label and iou(kept.astype(float), boxes[i].astype(float)) >= 0.5]
        np.testing.assert_allclose(box, np.average(boxes[near], 0, scores[near]), atol=1e-4)
        moved += len(near) > 1
    assert moved >= 2


def test_nothing_is_left_to_vote():
    empty = detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    assert len(suppress(empty, Suppress(voting=True))) == 0
    assert len(suppress(empty, Suppress("average"))) == 0
