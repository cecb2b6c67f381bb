"""Box arithmetic on tensors, xyxy px."""

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """Areas (...,) of boxes (..., 4)."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """Areas of the intersection of boxes whose leading axes broadcast: (..., 4) x (..., 4) to (...,)."""
    return (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes whose leading axes broadcast: (..., 4) x (..., 4) to (...,)."""
    overlap, union = _overlap_and_union(a, b)
    return overlap / union


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalized IoU (Rezatofighi et al., arXiv 1902.09630, algorithm 1), -1..1, broadcasting like `iou`."""
    overlap, union = _overlap_and_union(a, b)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    return overlap / union - (hull - union) / hull.clamp(min=1e-6)


def _overlap_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Areas (...,) of the intersection and the union. The union is clamped above zero, since callers divide by it."""
    overlap = intersection(a, b)
    return overlap, (area(a) + area(b) - overlap).clamp(min=1e-6)
