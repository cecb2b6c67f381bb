"""Suppression of duplicates by the overlap of their boxes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.suppression import Suppress
from ..results.instances import Instances
from .merger import winners

Overlaps = NDArray[np.float64]


def hard(found: Instances, rule: Suppress) -> Instances:
    """NMS: removes a box if its IoU with a better one of its class is above `iou`."""
    return _nms(found, found.boxes, rule, rule.iou)


def covered(found: Instances, rule: Suppress) -> Instances:
    """NMS: removes a box if a better one of its class covers more than `iou` of its area."""
    labels = classes(found, rule)
    boxes = found.boxes.astype(np.float64)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    left = np.argsort(-found.scores, kind="stable")
    kept: list[int] = []
    while left.size and len(kept) < rule.max_det:
        best, left = left[0], left[1:]
        kept.append(best)
        # LFFD's authors count the last pixel of what both share, but not that of the box.
        low, high = np.maximum(boxes[best, :2], boxes[left, :2]), np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.clip(high - low + 1, 0, None).prod(1)
        left = left[(shared <= rule.iou * areas[left]) | (labels[left] != labels[best])]
    return found[np.array(kept, np.int64)]


def visible(found: Instances, rule: Suppress) -> Instances:
    """NMS by the IoU of the visible boxes."""
    return _nms(found, found.visible, rule, rule.iou)


def sets(found: Instances, rule: Suppress) -> Instances:
    """Set-NMS: removes a box if its IoU with a better one of its class, from another proposal, is above `iou`."""
    boxes, labels, proposals = _compared(found.boxes, rule).astype(np.float64), classes(found, rule), found.proposal
    left, kept = np.argsort(-found.scores, kind="stable"), list[int]()
    while len(left) and len(kept) < rule.max_det:
        best, left = int(left[0]), left[1:]
        kept.append(best)
        apart = (labels[left] != labels[best]) | (proposals[left] == proposals[best])
        left = left[apart | (_overlaps(boxes[best : best + 1], boxes[left])[0] <= rule.iou)]
    return found[kept]


def none(found: Instances, rule: Suppress) -> Instances:
    """No suppression, only the order and `max_det`."""
    return _nms(found, found.boxes, rule, 2.0)  # no IoU is above 1


def linear(found: Instances, rule: Suppress) -> Instances:
    """Soft-NMS: an overlap of at least `iou` multiplies the score by 1 - IoU."""
    return _soft_nms(found, rule, None)


def gaussian(found: Instances, rule: Suppress) -> Instances:
    """Soft-NMS: every overlap multiplies the score by exp(-IoU^2 / `sigma`)."""
    return _soft_nms(found, rule, rule.sigma)


def guided(found: Instances, rule: Suppress) -> Instances:
    """IoU-guided NMS: removes a box if one of better quality overlaps it, which takes the higher score of both."""
    boxes, labels = _compared(found.boxes, rule), classes(found, rule)
    kept, scores = _native.guided_nms(boxes, found.scores, found.quality, labels, rule.iou, rule.max_det)
    return replace(found[kept], scores=scores)


def average(found: Instances, rule: Suppress) -> Instances:
    """NMS, after which each box is the mean of those of its class that overlap it by at least 0.5."""
    return voted(hard(found, rule), found, lambda overlaps: (overlaps >= _SAME).astype(np.float64))


def merger(found: Instances, rule: Suppress) -> Instances:
    """EM-Merger: the best detection of each hill of them, scored by the mean of its score and quality.

    Of those of a class, one goes if a better one shares at least `iou` of the smaller of both.
    """
    confidence = 0.5 * (found.scores.astype(np.float64) + found.quality)
    corners = np.clip(found.boxes, 0, np.tile(found.image_size, 2)).astype(np.int64)
    labels, has_area = classes(found, rule), (corners[:, 2:] > corners[:, :2]).all(1)
    best = [np.zeros(0, np.int64)]
    for label in np.unique(labels):
        rows = np.flatnonzero(has_area & (labels == label))
        best.append(rows[winners(corners[rows], confidence[rows], found.scores[rows], found.image_size)])
    left = np.concatenate(best)
    left, kept = left[np.argsort(-confidence[left], kind="stable")], list[int]()
    areas = (corners[:, 2:] - corners[:, :2]).prod(1)
    while len(left) and len(kept) < rule.max_det:
        first, left = int(left[0]), left[1:]
        kept.append(first)
        low, high = np.maximum(corners[first, :2], corners[left, :2]), np.minimum(corners[first, 2:], corners[left, 2:])
        shared = np.clip(high - low, 0, None).prod(1) / np.minimum(areas[first], areas[left])
        left = left[(shared < rule.iou) | (labels[left] != labels[first])]
    return replace(found[kept], scores=confidence[kept].astype(np.float32))


RULES: dict[str, Callable[[Instances, Suppress], Instances]] = {
    **{rule.__name__: rule for rule in (hard, average, covered, linear, gaussian, guided, merger, visible, none)},
    "set": sets,
}


def _nms(found: Instances, boxes: NDArray[np.float32], rule: Suppress, iou: float) -> Instances:
    return found[_native.nms(_compared(boxes, rule), found.scores, classes(found, rule), iou, rule.max_det)]


def _soft_nms(found: Instances, rule: Suppress, sigma: float | None) -> Instances:
    boxes, labels = _compared(found.boxes, rule), classes(found, rule)
    kept, scores = _native.soft_nms(boxes, found.scores, labels, rule.iou, sigma, rule.dropped, rule.max_det)
    return replace(found[kept], scores=scores)


def _compared(boxes: NDArray[np.float32], rule: Suppress) -> NDArray[np.float32]:
    """Boxes with sides x2 - x1, converted if the rule counts them as x2 - x1 + 1."""
    return boxes + np.array([0, 0, 1, 1], np.float32) if rule.inclusive else np.ascontiguousarray(boxes)


def classes(found: Instances, rule: Suppress) -> NDArray[np.int64]:
    """The labels, or zeros if all classes are compared with each other."""
    return np.zeros_like(found.labels) if rule.class_agnostic else found.labels


def voted(found: Instances, candidates: Instances, share: Callable[[Overlaps], Overlaps]) -> Instances:
    """Replaces each box by the mean of all candidates of its class, weighted by their scores and shares of the vote.

    `share` gives the latter from IoUs, with that of a box itself, 1.
    """
    means = np.empty((len(found), 4), np.float32)
    for label in np.unique(found.labels):
        own, others = found.labels == label, candidates[candidates.labels == label]
        overlaps = _overlaps(found.boxes[own].astype(np.float64), others.boxes.astype(np.float64))
        weights = share(overlaps) * others.scores
        means[own] = weights @ others.boxes / weights.sum(1, keepdims=True)
    return replace(found, boxes=means)


def nearness(overlaps: Overlaps) -> Overlaps:
    """PAA's share of the vote: it falls with the distance, to 0 where boxes hardly overlap."""
    return np.exp(-((1 - overlaps) ** 2) / _SPREAD) * (overlaps > _LEAST)


_SPREAD, _LEAST = 0.025, 0.01
_SAME = 0.5  # the IoU from which boxes vote for each other


def _overlaps(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> Overlaps:
    """The IoU (n, m) of each pair of boxes xyxy."""
    low = np.maximum(boxes[:, None, :2], others[:, :2])
    high = np.minimum(boxes[:, None, 2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    areas, other_areas = ((each[:, 2:] - each[:, :2]).prod(1) for each in (boxes, others))
    return shared / (areas[:, None] + other_areas - shared)
