"""Losses of keypoint coordinates: bins of each axis, the integral of a map, and regression with a learned density."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .precision import in_fp32


@in_fp32
def bins_loss(logits: Tensor, labels: Tensor, beta: float = 1.0, label_beta: float | None = None) -> Tensor:
    """The mean over the bins of the terms of KL(label || softmax(beta logits)): (..., bins) to (...,) (SimCC, Li et
    al., arXiv 2107.03332, section 3.3; RTMPose, Jiang et al., arXiv 2303.07399, section 3.1).

    Labels are distributions, or with `label_beta` they become softmax(label_beta labels).
    """
    if label_beta is not None:
        labels = (labels * label_beta).softmax(-1)
    return F.kl_div((logits * beta).log_softmax(-1), labels, reduction="none").mean(-1)


@in_fp32
def soft_argmax(maps: Tensor, beta: float = 1.0) -> Tensor:
    """The expectation of the position under softmax(beta map): maps (..., h, w) to (..., 2) xy in cells (integral
    regression, Sun et al., arXiv 1711.08229, equation 2)."""
    shares = (maps * beta).flatten(-2).softmax(-1).unflatten(-1, maps.shape[-2:])
    x, y = (torch.arange(size, device=maps.device, dtype=maps.dtype) for size in (maps.shape[-1], maps.shape[-2]))
    return torch.stack(((shares.sum(-2) * x).sum(-1), (shares.sum(-1) * y).sum(-1)), -1)


@in_fp32
def integral_loss(maps: Tensor, targets: Tensor, weights: Tensor, beta: float = 1.0) -> Tensor:
    """|soft_argmax - target| per keypoint and axis: maps (..., h, w), targets and weights (..., 2) to (..., 2).

    Targets are xy in shares of the map's width and height.
    """
    size = maps.new_tensor((maps.shape[-1], maps.shape[-2]))
    return (soft_argmax(maps, beta) / size - targets).abs() * weights


class Flow(nn.Module):
    """RealNVP of points in the plane (Dinh et al., arXiv 1605.08803), as residual log-likelihood estimation uses it.

    Six couplings, each of which moves one coordinate by a scale and a shift that networks of 2, 64, 64 and 2 units
    give from the other one. The parameters `s.i` and `t.i` are named as in mmpose.
    """

    def __init__(self) -> None:
        super().__init__()

        def network(*last: nn.Module) -> nn.Sequential:
            layers = (nn.Linear(2, 64), nn.LeakyReLU(), nn.Linear(64, 64), nn.LeakyReLU(), nn.Linear(64, 2))
            return nn.Sequential(*layers, *last)

        self.register_buffer("mask", torch.tensor([[0.0, 1.0], [1.0, 0.0]] * 3))
        self.s = nn.ModuleList(network(nn.Tanh()) for _ in self.mask)
        self.t = nn.ModuleList(network() for _ in self.mask)

    def forward(self, points: Tensor) -> Tensor:
        """The log-density (n,) at points (n, 2)."""
        density = points.new_zeros(len(points))
        for mask, scale, shift in reversed(list(zip(self.mask, self.s, self.t, strict=True))):
            kept = mask * points
            logarithm, moved = scale(kept) * (1 - mask), shift(kept) * (1 - mask)
            points = kept + (1 - mask) * (points - moved) * (-logarithm).exp()
            density = density - logarithm.sum(1)
        return density - points.square().sum(1) / 2 - math.log(2 * math.pi)


@in_fp32
def residual_likelihood_loss(
    points: Tensor,
    deviations: Tensor,
    targets: Tensor,
    flow: Flow,
    base: Literal["laplace", "gaussian"] | None = "laplace",
) -> Tensor:
    """The negative log-likelihood of targets under a density around the points (RLE, Li et al., arXiv 2107.11291,
    equation 7), per coordinate.

    All are (..., 2); `deviations` are the logits of the standard deviations. The density is that of `base`, times the
    flow's of the errors in standard deviations; without `base` the flow's alone.
    """
    sigma = deviations.sigmoid()
    errors = (points - targets) / (sigma + 1e-9)
    likelihood = flow(errors.reshape(-1, 2)).reshape(errors.shape[:-1])
    loss = sigma.log() - likelihood[..., None]
    if base == "laplace":
        return loss + (2 * sigma).log() + errors.abs()
    return loss + (sigma * math.sqrt(2 * math.pi)).log() + errors.square() / 2 if base == "gaussian" else loss
