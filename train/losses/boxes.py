"""Losses of predicted boxes per box: boxes (..., 4) and their targets (..., 4), xyxy px, to (...,)."""

import math
from typing import Literal

import torch
from torch import Tensor

from ..boxes import giou, iou
from .precision import in_fp32

_SMALL = 1e-7


@in_fp32
def iou_loss(boxes: Tensor, targets: Tensor, form: Literal["log", "linear", "square"] = "log") -> Tensor:
    """-ln IoU (Yu et al., arXiv 1608.01471, section 3.1), 1 - IoU, or 1 - IoU^2. The logarithm stops at IoU 1e-6."""
    overlap = iou(boxes, targets)
    if form == "log":
        return -overlap.clamp(min=1e-6).log()
    return 1 - (overlap if form == "linear" else overlap**2)


@in_fp32
def giou_loss(boxes: Tensor, targets: Tensor) -> Tensor:
    """1 - GIoU, 0..2 (Rezatofighi et al., arXiv 1902.09630)."""
    return 1 - giou(boxes, targets)


@in_fp32
def diou_loss(boxes: Tensor, targets: Tensor) -> Tensor:
    """1 - IoU + (distance of the centres / diagonal of the hull)^2 (Zheng et al., arXiv 1911.08287, equation 7)."""
    return 1 - iou(boxes, targets) + _shift(boxes, targets)


@in_fp32
def ciou_loss(boxes: Tensor, targets: Tensor) -> Tensor:
    """`diou_loss` plus alpha v, where v = 4 / pi^2 (difference of atan(w / h))^2 (arXiv 1911.08287, equations 8 to 11).

    alpha = v / (1 - IoU + v) has no gradient, and is 0 up to IoU 0.5, as in the authors' code.
    """
    overlap = iou(boxes, targets)
    angles = (torch.atan2(*(each[..., 2:] - each[..., :2]).unbind(-1)) for each in (boxes, targets))
    v = 4 / math.pi**2 * torch.sub(*angles) ** 2
    with torch.no_grad():
        alpha = torch.where(overlap > 0.5, v / (1 - overlap + v).clamp(min=_SMALL), 0)
    return (1 - overlap + _shift(boxes, targets) + alpha * v).clamp(0, 2)


def _shift(boxes: Tensor, targets: Tensor) -> Tensor:
    """The squared distance of the centres over the squared diagonal of the hull."""
    between = ((boxes[..., :2] + boxes[..., 2:] - targets[..., :2] - targets[..., 2:]) / 2).square().sum(-1)
    hull = torch.maximum(boxes[..., 2:], targets[..., 2:]) - torch.minimum(boxes[..., :2], targets[..., :2])
    return between / (hull.square().sum(-1) + _SMALL)
