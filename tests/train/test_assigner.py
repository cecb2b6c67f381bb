"""ATSS against a naive float64 version of the paper's algorithm 1."""

import numpy as np
import torch

from detforge.models.points import grid_points
from detforge.train.assigner import atss

STRIDES = (8, 16, 32)
SIZES = [(12, 12), (6, 6), (3, 3)]


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / union


def naive(points: np.ndarray, strides: np.ndarray, objects: np.ndarray) -> list[int]:
    owner, overlap = [-1] * len(points), [-1.0] * len(points)
    for g, box in enumerate(objects):
        centre = (box[:2] + box[2:]) / 2
        candidates: list[int] = []
        for stride in STRIDES:
            level = [i for i in range(len(points)) if strides[i] == stride]
            level.sort(key=lambda i: np.hypot(*(points[i] - centre)))
            candidates += level[:9]
        ious = [
            box_iou(np.concatenate((points[i] - 4 * strides[i], points[i] + 4 * strides[i])), box) for i in candidates
        ]
        threshold = np.mean(ious) + np.std(ious, ddof=1)
        for i, value in zip(candidates, ious, strict=True):
            x, y = points[i]
            inside = min(x - box[0], y - box[1], box[2] - x, box[3] - y) > 0.01
            if value >= threshold and inside and value > overlap[i]:
                owner[i], overlap[i] = g, value
    return owner


def test_equals_the_naive_assignment() -> None:
    rng = np.random.default_rng(3)
    points, strides = grid_points(SIZES, STRIDES, torch.zeros(1))
    for _ in range(20):
        corner, size = rng.uniform(0, 60, (4, 2)), rng.uniform(6, 60, (4, 2))
        objects = np.concatenate((corner, corner + size), 1)
        found = atss(points, strides, [h * w for h, w in SIZES], torch.from_numpy(objects).float())
        assert found.tolist() == naive(points.double().numpy(), strides[:, 0].numpy(), objects)


def test_an_image_without_objects_is_background() -> None:
    points, strides = grid_points(SIZES, STRIDES, torch.zeros(1))
    assert (atss(points, strides, [h * w for h, w in SIZES], torch.zeros(0, 4)) == -1).all()
