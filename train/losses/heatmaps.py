"""Losses of keypoint heatmaps."""

import torch
from torch import Tensor

from .precision import in_fp32


@in_fp32
def heatmap_loss(maps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The mean squared difference of maps and targets (..., k, h, w) per keypoint, times its weight: (..., k)
    (Xiao et al., arXiv 1804.06208)."""
    return (maps - targets).square().mean((-2, -1)) * weights


@in_fp32
def hard_keypoint_loss(maps: Tensor, targets: Tensor, weights: Tensor, hardest: int = 8) -> Tensor:
    """The mean `heatmap_loss` (n,) of the hardest keypoints of each image (CPN, Chen et al., arXiv 1711.07319, section
    3.2.2). Shapes: maps and targets (n, k, h, w), weights (n, k)."""
    return heatmap_loss(maps, targets, weights).topk(hardest, 1).values.mean(1)


@in_fp32
def combined_loss(maps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """UDP's loss of discs and offsets per keypoint, (n, k) (Huang et al., arXiv 1911.07524, section 3.3).

    Maps and targets are (n, 3 k, h, w), for each keypoint a disc and the offsets x and y; weights (n, k). Offsets count
    inside the target's disc. As in the authors' code, the weights multiply the differences before they are squared.
    """
    maps, targets = (each.unflatten(1, (-1, 3)) for each in (maps, targets))
    discs = maps[:, :, 0] - targets[:, :, 0]
    offsets = (maps[:, :, 1:] - targets[:, :, 1:]) * targets[:, :, :1]
    return (discs.square().mean((-2, -1)) + offsets.square().mean((-2, -1)).sum(2)) / 2 * weights.square()


@in_fp32
def focal_l2_loss(maps: Tensor, targets: Tensor, alpha: float = 0.0, beta: float = 0.0) -> Tensor:
    """|1 - s| (map - target)^2 per cell, where s = map - alpha on the foreground (target >= 0.01) and 1 - map - beta
    elsewhere (Simple Pose, Li et al., arXiv 1911.10529, equations 4 and 5)."""
    certainty = torch.where(targets >= 0.01, maps - alpha, 1 - maps - beta)
    return (1 - certainty).abs() * (maps - targets).square()
