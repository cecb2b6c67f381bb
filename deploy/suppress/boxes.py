"""Suppression of duplicates by their boxes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.suppression import Suppress
from ..results.instances import Instances


def hard(found: Instances, rule: Suppress) -> Instances:
    """NMS: a box goes when a better one of its class overlaps it by an IoU above `iou`."""
    return _nms(found, found.boxes, rule, rule.iou)


def visible(found: Instances, rule: Suppress) -> Instances:
    """NMS by the visible parts of both objects."""
    return _nms(found, found.visible, rule, rule.iou)


def none(found: Instances, rule: Suppress) -> Instances:
    """Only the order and the limit apply: no IoU reaches 2."""
    return _nms(found, found.boxes, rule, 2.0)


def linear(found: Instances, rule: Suppress) -> Instances:
    """Soft-NMS: an overlap from `iou` on lowers the score by 1 - IoU."""
    return _soft_nms(found, rule, None)


def gaussian(found: Instances, rule: Suppress) -> Instances:
    """Soft-NMS: every overlap lowers the score by exp(-IoU^2 / `sigma`)."""
    return _soft_nms(found, rule, rule.sigma)


def guided(found: Instances, rule: Suppress) -> Instances:
    """IoU-guided NMS: a box goes when one of better quality overlaps it, which takes the better score of both."""
    boxes, labels = _compared(found.boxes, rule), _classes(found, rule)
    kept, scores = _native.guided_nms(boxes, found.scores, found.quality, labels, rule.iou, rule.max_det)
    return replace(found[kept], scores=scores)


RULES: dict[str, Callable[[Instances, Suppress], Instances]] = {
    rule.__name__: rule for rule in (hard, linear, gaussian, guided, visible, none)
}


def _nms(found: Instances, boxes: NDArray[np.float32], rule: Suppress, iou: float) -> Instances:
    return found[_native.nms(_compared(boxes, rule), found.scores, _classes(found, rule), iou, rule.max_det)]


def _soft_nms(found: Instances, rule: Suppress, sigma: float | None) -> Instances:
    boxes, labels = _compared(found.boxes, rule), _classes(found, rule)
    kept, scores = _native.soft_nms(boxes, found.scores, labels, rule.iou, sigma, rule.dropped, rule.max_det)
    return replace(found[kept], scores=scores)


def _compared(boxes: NDArray[np.float32], rule: Suppress) -> NDArray[np.float32]:
    """Boxes whose sides are x2 - x1, however the rule counts them."""
    return boxes + np.array([0, 0, 1, 1], np.float32) if rule.inclusive else np.ascontiguousarray(boxes)


def _classes(found: Instances, rule: Suppress) -> NDArray[np.int64]:
    """The classes that are compared among themselves."""
    return np.zeros_like(found.labels) if rule.class_agnostic else found.labels
