"""Suppression of duplicate detections, by boxes, polygons or poses."""

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
    left = boxes.voted(left, found) if rule.voting else left
    return without_ghosts(left, rule) if rule.ghosts else left
