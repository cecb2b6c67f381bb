"""Assignment of points inside objects (FCOS, Tian et al., arXiv 1904.01355, section 3.2)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..boxes import area
from . import BACKGROUND

LIMITS = (64.0, 128.0, 256.0, 512.0, math.inf)
"""The largest distance to a side, px, that each level answers for."""


@torch.no_grad()
def fcos(
    points: Tensor,
    strides: Tensor,
    level_sizes: Sequence[int],
    objects: Tensor,
    limits: Sequence[float] = LIMITS,
    radius: float | None = None,
) -> Tensor:
    """The index of the smallest object around each point, or BACKGROUND.

    Shapes: points (a, 2) xy px and strides (a, 1) px, level by level with `level_sizes` points each, objects (g, 4)
    xyxy px; result (a,) int64. A level answers for objects whose farthest side is beyond the limit of the level before
    it, and not beyond its own. With `radius` only points within so many strides of the centre, on both axes, count.
    """
    background = torch.full((len(points),), BACKGROUND, device=points.device)
    if len(objects) == 0:
        return background
    counts = torch.tensor(list(level_sizes), device=points.device)
    high, low = (
        points.new_tensor(values).repeat_interleave(counts)[:, None] for values in (limits, (-1.0, *limits[:-1]))
    )
    sides = distances(points[:, None], objects)  # (a, g, 4)
    farthest = sides.amax(-1)
    inside = sides.amin(-1) > 0
    if radius is not None:
        centres = (objects[:, :2] + objects[:, 2:]) / 2
        inside &= ((points[:, None] - centres).abs() < strides[:, None] * radius).all(-1)
    areas = torch.where(inside & (farthest >= low) & (farthest <= high), area(objects), math.inf)
    smallest, index = areas.min(1)
    return torch.where(smallest < math.inf, index, background)


def distances(points: Tensor, boxes: Tensor) -> Tensor:
    """Distances (..., 4) px from points (..., 2) xy to the left, top, right and bottom sides of boxes (..., 4) xyxy."""
    return torch.cat((points - boxes[..., :2], boxes[..., 2:] - points), -1)
