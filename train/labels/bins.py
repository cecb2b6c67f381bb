"""SimCC's labels (Li et al., arXiv 2107.03332, section 3.3): each axis as a choice among bins, several a pixel."""

import math

import torch
from torch import Tensor


def gaussian_bins(positions: Tensor, count: int, sigma: float, split: float = 2.0, normalised: bool = True) -> Tensor:
    """Gaussians (..., count) around the nearest bins of positions (...,) px, `split` bins a pixel, `sigma` in bins.

    They add up to about 1 if `normalised`, else their height is 1.
    """
    steps = torch.arange(count, device=positions.device, dtype=positions.dtype) - (positions * split).round()[..., None]
    height = 1 / (sigma * math.sqrt(2 * math.pi)) if normalised else 1.0
    return height * torch.exp(-(steps**2) / (2 * sigma**2))


def smoothed_bins(positions: Tensor, count: int, smoothing: float = 0.1, split: float = 2.0) -> Tensor:
    """Distributions (..., count) with 1 - `smoothing` at the nearest bin and the rest shared by the others.

    They are 0 for positions outside the image.
    """
    bins = (positions * split).round().long()
    labels = positions.new_full((*positions.shape, count), smoothing / (count - 1))
    labels.scatter_(-1, bins.clamp(0, count - 1)[..., None], 1 - smoothing)
    return torch.where(((bins >= 0) & (bins < count))[..., None], labels, 0)
