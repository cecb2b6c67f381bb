"""The overlap of polygons, and suppression of duplicates by it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.suppression import Suppress
from ..results.instances import Instances
from . import boxes


def iou(polygons: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """The IoU (n, n) of each pair of polygons (m, 2), 0..1. They may have any shape and number of corners."""
    overlaps = np.empty((len(polygons), len(polygons)))
    _native.polygon_iou(*_corners(polygons), overlaps)
    return overlaps


def hard(found: Instances, rule: Suppress) -> Instances:
    """NMS: removes a polygon if its IoU with a better one of its class is above `iou`."""
    labels = boxes.classes(found, rule)
    return found[_native.polygon_nms(*_corners(found.polygons), found.scores, labels, rule.iou, rule.max_det)]


# What the form merges for "locality" may still overlap with what it merged in another tile.
RULES: dict[str, Callable[[Instances, Suppress], Instances]] = {**boxes.RULES, "polygons": hard, "locality": hard}


def _corners(polygons: Sequence[NDArray[Any]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The corners (m, 2) of all polygons, one after the other, and the index after the last corner of each."""
    ends = np.cumsum([len(polygon) for polygon in polygons], dtype=np.int64)
    return np.concatenate([np.zeros((0, 2)), *polygons]).astype(np.float32), ends
