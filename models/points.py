"""The points that dense heads predict at: one per cell of every level."""

from collections.abc import Sequence

import torch
from torch import Tensor


def grid_points(
    sizes: Sequence[Sequence[int]], strides: Sequence[float], like: Tensor, offset: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Points (a, 2) xy px at (index + offset) * stride, and their strides (a, 1), finest level first.

    `sizes` holds each level's (h, w); the result has the type and device of `like`. GFL and the other heads
    that descend from anchors use offset 0, FCOS 0.5.
    """
    points: list[Tensor] = []
    steps: list[Tensor] = []
    for (h, w), stride in zip(sizes, strides, strict=True):
        y = (torch.arange(h, device=like.device, dtype=like.dtype) + offset) * stride
        x = (torch.arange(w, device=like.device, dtype=like.dtype) + offset) * stride
        grid = torch.stack((x[None, :].expand(h, w), y[:, None].expand(h, w)), -1).reshape(-1, 2)
        points.append(grid)
        steps.append(torch.full_like(grid[:, :1], stride))
    return torch.cat(points), torch.cat(steps)


def points_first(levels: Sequence[Tensor]) -> Tensor:
    """Levels (n, c, h, w) to one (n, a, c), in the order of `grid_points`."""
    return torch.cat([x.flatten(2).transpose(1, 2) for x in levels], 1)
