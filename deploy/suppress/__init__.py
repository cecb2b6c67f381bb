"""Suppression of duplicates: one file for each thing that is compared."""

from ..contract.suppression import Suppress
from ..results.instances import Instances
from . import boxes, poses

RULES = {"boxes": boxes.RULES, "poses": poses.RULES}


def suppress(found: Instances, rule: Suppress, compares: str = "boxes") -> Instances:
    """The findings that stay, best first, at most `max_det`; equal scores keep their order."""
    return RULES[compares][rule.kind](found, rule)
