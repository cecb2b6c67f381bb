"""Box arithmetic on tensors, xyxy px."""

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """Areas (...,) of boxes (..., 4)."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes whose leading axes broadcast: (..., 4) x (..., 4) to (...,)."""
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    return overlap / (area(a) + area(b) - overlap).clamp(min=1e-6)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalized IoU (Rezatofighi et al., arXiv 1902.09630, algorithm 1), -1..1, broadcasting like `iou`."""
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    value = iou(a, b)
    union = (area(a) + area(b)) / (1 + value)  # from value = overlap / union, overlap + union = a + b
    return value - (hull - union) / hull.clamp(min=1e-6)
