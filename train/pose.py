"""The loss of a heatmap network for one batch (Tompson et al., arXiv 1406.2984; Xiao et al., arXiv 1804.06208)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .labels.heatmaps import unbiased_maps

SIGMA = 2.0
"""Standard deviation of the Gaussian around each keypoint, px of the map."""


def heatmap_losses(
    model: nn.Module, images: Tensor, centres: Tensor, weights: Tensor, ties: Tensor
) -> dict[str, Tensor]:
    """The loss `heatmaps`: squared differences between maps and Gaussians, 1 per keypoint for an empty map.

    Shapes: centres (n, k, 2) px of the maps, weights (n, k), ties (n,). A tie is a shift of the corner order that fits
    about equally well; the smaller of both errors then counts, since training on both would give two half peaks.
    """
    with torch.autocast(images.device.type, torch.bfloat16):  # Takes half the time on processors with bfloat16.
        maps = model(images)["heatmaps"]
    errors = better_order(lambda *given: _errors(maps, *given), centres, weights, ties)
    return {"heatmaps": errors.sum() / weights.sum().clamp(min=1)}


def better_order(error: Callable[[Tensor, Tensor], Tensor], centres: Tensor, weights: Tensor, ties: Tensor) -> Tensor:
    """The smaller error (n,) of both orders of the corners, from centres (n, k, 2), weights (n, k) and ties (n,)."""
    moved = (torch.arange(centres.shape[1], device=ties.device) + ties[:, None]) % centres.shape[1]
    other = error(centres.gather(1, moved[..., None].expand_as(centres)), weights.gather(1, moved))
    return torch.minimum(error(centres, weights), other)


def _errors(maps: Tensor, centres: Tensor, weights: Tensor) -> Tensor:
    """The error of each image (n,), in units of the sum of squares of one Gaussian."""
    squares = (maps - unbiased_maps(centres, (maps.shape[2], maps.shape[3]), SIGMA)) ** 2
    return (squares.sum((2, 3)) * weights).sum(1) / (math.pi * SIGMA**2)
