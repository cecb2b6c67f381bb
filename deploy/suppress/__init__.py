"""Suppression of duplicate detections, by boxes or by poses."""

from ..contract.suppression import Suppress
from ..results.instances import Instances
from . import boxes, poses
from .ghosts import without_ghosts

RULES = {"boxes": boxes.RULES, "poses": poses.RULES}


def suppress(found: Instances, rule: Suppress, compares: str = "boxes") -> Instances:
    """The detections left after suppression, best first, at most `max_det`. Equal scores keep their order."""
    kept = RULES[compares][rule.kind](found, rule)
    return without_ghosts(kept, rule) if rule.ghosts else kept
