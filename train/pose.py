"""What a network of heatmaps learns from one batch (Tompson et al., arXiv 1406.2984; Xiao et al., arXiv 1804.06208)."""

import math

import torch
from torch import Tensor, nn

SIGMA = 2.0
"""Of the Gaussian around each keypoint, px of the map."""


def gaussian_maps(centres: Tensor, size: tuple[int, int]) -> Tensor:
    """A Gaussian of height 1 around each of the centres (..., 2) xy, px of maps of `size` (h, w): (..., h, w).

    Centres keep their fractions, as DARK asks for (Zhang et al., arXiv 1910.06278, section 3.3): a rounded one would
    teach the network its rounding.
    """
    height, width = size
    x = torch.arange(width, device=centres.device) - centres[..., :1]
    y = torch.arange(height, device=centres.device) - centres[..., 1:]
    falls = (torch.exp(-(steps**2) / (2 * SIGMA**2)) for steps in (y, x))
    return torch.einsum("...h,...w->...hw", *falls)


def heatmap_losses(
    model: nn.Module, images: Tensor, centres: Tensor, weights: Tensor, ties: Tensor
) -> dict[str, Tensor]:
    """Squared differences `heatmaps` between the maps and Gaussians, 1 a keypoint where a map is empty.

    centres (n, k, 2) px of the maps, weights (n, k). ties (n,): where an outline's names may as well be moved on by so
    many places, an image has whichever error is less. Both would leave two half peaks.
    """
    with torch.autocast(images.device.type, torch.bfloat16):  # half the time, on processors that have it
        maps = model(images)["heatmaps"]
    named = _errors(maps, centres, weights)
    moved = (torch.arange(centres.shape[1], device=ties.device) + ties[:, None]) % centres.shape[1]
    other = _errors(maps, centres.gather(1, moved[..., None].expand_as(centres)), weights.gather(1, moved))
    return {"heatmaps": torch.minimum(named, other).sum() / weights.sum().clamp(min=1)}


def _errors(maps: Tensor, centres: Tensor, weights: Tensor) -> Tensor:
    """Of each image (n,), in units of what one Gaussian's squares sum up to."""
    squares = (maps - gaussian_maps(centres, (maps.shape[2], maps.shape[3]))) ** 2
    return (squares.sum((2, 3)) * weights).sum(1) / (math.pi * SIGMA**2)
