"""Box arithmetic on tensors, xyxy px."""

from collections.abc import Sequence

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """Areas (...,) of boxes (..., 4)."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def corners(boxes: Tensor) -> Tensor:
    """Boxes (..., 4) cxcywh px as xyxy px."""
    centres, reach = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centres - reach, centres + reach), -1)


def boxes_to_deltas(
    boxes: Tensor, priors: Tensor, stds: Sequence[float] = (1.0, 1.0, 1.0, 1.0), inclusive: bool = False
) -> Tensor:
    """The deltas (..., 4) that `models.coders.deltas_to_boxes` turns into boxes (..., 4) xyxy px, from priors (..., 4)
    cxcywh px."""
    centres, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2] + inclusive
    shifts = (centres - priors[..., :2]) / priors[..., 2:]
    growth = (sides / priors[..., 2:]).clamp(min=torch.finfo(sides.dtype).tiny).log()
    return torch.cat((shifts, growth), -1) / boxes.new_tensor(stds)


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
