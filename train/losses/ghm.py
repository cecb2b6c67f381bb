"""The gradient harmonizing mechanism (Li, Liu and Wang, arXiv 1811.05181): frequent gradients weigh less."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import in_fp32


@in_fp32
def ghm_classification_loss(
    logits: Tensor,
    targets: Tensor,
    valid: Tensor,
    bins: int = 10,
    counts: Tensor | None = None,
    momentum: float = 0.75,
) -> Tensor:
    """The mean BCE of the valid elements, each divided by the density of its gradient |p - target| (equation 8).

    Logits, targets 0..1 and `valid` have the same shape; the result is a scalar. `counts` (bins,) is the moving average
    of elements per bin between calls, zeros at the start; it is updated in place. Without it this batch alone counts.
    """
    gradients = (logits.detach().sigmoid() - targets).abs()
    weights = _harmonizing(gradients, valid > 0, bins, counts, momentum)
    return (F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * weights).sum()


@in_fp32
def ghm_regression_loss(
    values: Tensor,
    targets: Tensor,
    valid: Tensor,
    mu: float = 0.02,
    bins: int = 10,
    counts: Tensor | None = None,
    momentum: float = 0.7,
) -> Tensor:
    """The mean of sqrt(d^2 + mu^2) - mu over valid elements, d = value - target, each divided by the density of its
    gradient |d| / sqrt(d^2 + mu^2) (equations 9 to 11).

    Shapes and `counts` as in `ghm_classification_loss`.
    """
    difference = values - targets
    length = (difference**2 + mu**2).sqrt()
    weights = _harmonizing((difference / length).detach().abs(), valid > 0, bins, counts, momentum)
    return ((length - mu) * weights).sum()


def _harmonizing(gradients: Tensor, valid: Tensor, bins: int, counts: Tensor | None, momentum: float) -> Tensor:
    """1 / (elements in the bin x bins in use) for each valid element, and 0 for the others."""
    index = (gradients * bins).long().clamp(max=bins - 1)
    found = torch.bincount(index[valid], minlength=bins).to(gradients.dtype)
    used = found > 0
    if counts is None:
        density = found
    else:
        counts[used] = momentum * counts[used] + (1 - momentum) * found[used].to(counts.dtype)
        density = counts.to(gradients.dtype)
    share = torch.where(used, 1 / density.clamp(min=torch.finfo(density.dtype).tiny), 0)
    return torch.where(valid, share[index], 0) / used.sum().clamp(min=1)
