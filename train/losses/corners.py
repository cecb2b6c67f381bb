"""CornerNet's losses of corners (Law and Deng, arXiv 1808.01244), beside `gaussian_focal_loss` of the heatmaps."""

import torch
from torch import Tensor

from .distances import smooth_l1_loss
from .precision import in_fp32

_SMALL = 1e-4  # added to every number of objects


@in_fp32
def pull_loss(top_left: Tensor, bottom_right: Tensor, valid: Tensor) -> Tensor:
    """The squared distances of both corners' embeddings from their mean, a scalar (equation 4).

    Embeddings and `valid`, bool, are (n, k): k objects or places for them in each of n images. The mean over the
    objects of an image is summed over the images.
    """
    mean = (top_left + bottom_right) / 2
    distances = (top_left - mean) ** 2 + (bottom_right - mean) ** 2
    return (torch.where(valid, distances, 0).sum(1) / (valid.sum(1) + _SMALL)).sum()


@in_fp32
def push_loss(top_left: Tensor, bottom_right: Tensor, valid: Tensor) -> Tensor:
    """How much less than 1 the mean embeddings of two objects differ, a scalar (equation 5). Shapes as for `pull_loss`.

    As in the authors' code, an object's own pair is counted and its loss of 1 subtracted as 1 / (objects + 1e-4).
    """
    mean = (top_left + bottom_right) / 2
    count = valid.sum(1)[:, None, None]
    near = (1 - (mean[:, :, None] - mean[:, None]).abs()).relu() - 1 / (count + _SMALL)
    pairs = valid[:, :, None] & valid[:, None]
    return (torch.where(pairs, near, 0) / (count * (count - 1) + _SMALL)).sum()


@in_fp32
def offset_loss(offsets: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """The mean smooth L1 of the objects' offsets (n, k, 2), a scalar (equation 3); `valid` is (n, k), bool."""
    losses = smooth_l1_loss(offsets, targets).sum(-1)
    return torch.where(valid, losses, 0).sum() / (valid.sum() + _SMALL)
