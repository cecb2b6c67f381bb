"""Suppression of duplicate detections, by boxes, polygons or poses."""

from dataclasses import replace

import numpy as np

from ..contract.suppression import Suppress
from ..results.instances import Instances
from . import boxes, polygons, poses
from .ghosts import without_ghosts

RULES = {
    "boxes": boxes.RULES,
    "poses": poses.RULES,
    "polygons": polygons.RULES,
    "rotated boxes": polygons.RULES,
}


def suppress(found: Instances, rule: Suppress, compares: str = "boxes") -> Instances:
    """The detections left after suppression, best first, at most `max_det`. Equal scores keep their order."""
    left = RULES[compares][rule.kind](found, rule)
    left = boxes.voted(left, found, boxes.nearness) if rule.voting else left
    left = without_ghosts(left, rule) if rule.ghosts else left
    return _clipped(left) if rule.clips else left


def _clipped(found: Instances) -> Instances:
    """The detections with boxes clipped to the image, without those outside it."""
    boxes = np.clip(found.boxes, 0, np.array([*found.image_size] * 2, np.float32))
    return replace(found, boxes=boxes)[(boxes[:, 2:] > boxes[:, :2]).all(1)]
