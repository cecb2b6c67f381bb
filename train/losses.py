"""The three losses of GFL (arXiv 2006.04388), per element. The caller weights and sums them."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .boxes import giou


def quality_focal_loss(logits: Tensor, quality: Tensor, beta: float = 2.0) -> Tensor:
    """|quality - sigma|^beta * BCE(sigma, quality) (equation 4). Logits and quality have the same shape.

    `quality` is the IoU of the prediction for the class of its object, and 0 for other classes.
    """
    modulation = (quality - logits.sigmoid()).abs().pow(beta)
    return modulation * F.binary_cross_entropy_with_logits(logits, quality, reduction="none")


def distribution_focal_loss(logits: Tensor, distance: Tensor) -> Tensor:
    """Cross entropy with the two bins around a real-valued distance (equation 6).

    Shapes: logits (..., r), distance (...,) in bins, 0 <= distance < r - 1; result (...,).
    """
    left = distance.floor().long()
    log_probability = logits.log_softmax(-1)
    below = log_probability.gather(-1, left[..., None]).squeeze(-1)
    above = log_probability.gather(-1, left[..., None] + 1).squeeze(-1)
    weight = distance - left
    return -(1 - weight) * below - weight * above


def giou_loss(boxes: Tensor, targets: Tensor) -> Tensor:
    """1 - GIoU of boxes (..., 4) xyxy with their targets; result (...,), 0..2."""
    return 1 - giou(boxes, targets)


def total(losses: dict[str, Tensor]) -> Tensor:
    """The weighted sum of the losses, which training minimises."""
    return torch.stack(list(losses.values())).sum()
