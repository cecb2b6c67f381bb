"""Discs around keypoints, and the way to the keypoint (Papandreou et al., arXiv 1701.01779, section 2.2; UDP,
Huang et al., arXiv 1911.07524, section 3.3)."""

import torch
from torch import Tensor


def disc_maps(points: Tensor, size: tuple[int, int], radius: float) -> tuple[Tensor, Tensor]:
    """Discs (..., h, w), 1 within `radius` cells of the point and 0 elsewhere, and offsets (..., 2, h, w) xy from
    every cell to the point in radii."""
    x, y = (torch.arange(count, device=points.device, dtype=points.dtype) for count in reversed(size))
    shape = (*points.shape[:-1], *size)
    away = torch.stack(
        ((points[..., :1, None] - x).expand(shape), (points[..., 1:, None] - y[:, None]).expand(shape)), -3
    )
    away = away / radius
    return (away.square().sum(-3) <= 1).to(points.dtype), away
