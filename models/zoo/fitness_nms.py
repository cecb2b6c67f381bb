"""Fitness-NMS (arXiv 1711.00164)."""

from dataclasses import replace
from typing import Any

from torch import nn

from ..heads.fitness import FITNESS, FitnessHead
from . import faster_rcnn


def build(classes: int, **others: Any) -> nn.Module:
    """A Faster R-CNN whose scores are the expected fitness of its boxes; `others` are Faster R-CNN's."""
    return faster_rcnn.build(classes, box_head=FitnessHead, **others)


_R50 = replace(
    faster_rcnn.FASTER_RCNN,
    name="fitness_nms_r50",
    paper="arXiv 1711.00164",
    summary="Faster R-CNN whose scores are the expected fitness of its boxes",
    build=build,
    class_rows=len(FITNESS),
    published=None,  # the authors' network has other regions and no such weights
)

VARIANTS = (
    _R50,
    _R50.derive("fitness_nms_test", "tiny Fitness-NMS for tests", build=faster_rcnn.SMALL),
)
ALIASES = {"fitness_nms": "fitness_nms_r50"}
