"""Losses of box sides, deltas and coordinates per element."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import in_fp32


@in_fp32
def smooth_l1_loss(values: Tensor, targets: Tensor, beta: float = 1.0) -> Tensor:
    """d^2 / (2 beta) where d = |value - target| < beta, else d - beta / 2 (Girshick, arXiv 1504.08083, equation 3)."""
    return F.smooth_l1_loss(values, targets, beta=beta, reduction="none")


@in_fp32
def balanced_l1_loss(
    values: Tensor, targets: Tensor, alpha: float = 0.5, gamma: float = 1.5, beta: float = 1.0
) -> Tensor:
    """alpha / b (b d + 1) ln(b d / beta + 1) - alpha d where d = |value - target| < beta, else a line of slope gamma
    (Libra R-CNN, Pang et al., arXiv 1904.02701, equation 9); alpha ln(b + 1) = gamma.
    """
    d = (values - targets).abs()
    b = math.exp(gamma / alpha) - 1
    near = alpha / b * (b * d + 1) * (b * d / beta + 1).log() - alpha * d
    return torch.where(d < beta, near, gamma * d + gamma / b - alpha * beta)


@in_fp32
def distribution_focal_loss(logits: Tensor, distance: Tensor) -> Tensor:
    """Cross entropy with the two bins around a real-valued distance (GFL, arXiv 2006.04388, equation 6).

    Shapes: logits (..., r), distance (...,) in bins, 0 <= distance < r - 1; result (...,).
    """
    left = distance.floor().long()
    log_probability = logits.log_softmax(-1)
    below = log_probability.gather(-1, left[..., None]).squeeze(-1)
    above = log_probability.gather(-1, left[..., None] + 1).squeeze(-1)
    weight = distance - left
    return -(1 - weight) * below - weight * above
