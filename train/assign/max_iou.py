"""Assignment by overlap, as in Faster R-CNN (Ren et al., arXiv 1506.01497, section 3.1.2) and RetinaNet."""

import torch
from torch import Tensor

from ..boxes import area, intersection, iou
from . import BACKGROUND, IGNORED


@torch.no_grad()
def max_iou(
    anchors: Tensor,
    objects: Tensor,
    positive: float = 0.5,
    negative: float = 0.4,
    best_from: float | None = 0.0,
    *,
    ties: bool = True,
    crowds: Tensor | None = None,
) -> Tensor:
    """An object's index, BACKGROUND or IGNORED for each anchor.

    Shapes: anchors (a, 4), objects (g, 4) and crowds (c, 4) xyxy px; result (a,) int64. An anchor takes the object that
    it overlaps most if their IoU is `positive` or more, and is background below `negative`. Each object then takes its
    best anchors, all of equal IoU or without `ties` the first, if their IoU is `best_from` or more; None leaves this
    out. Anchors that lie in a crowd by more than half are ignored.
    """
    result = torch.full((len(anchors),), IGNORED, device=anchors.device)
    if len(objects) == 0:
        return _apart_from(result.fill_(BACKGROUND), anchors, crowds)
    overlaps = iou(anchors[:, None], objects)  # (a, g)
    if crowds is not None and len(crowds):
        overlaps[_crowded(anchors, crowds)] = -1.0
    best, index = overlaps.max(1)
    result[(best >= 0) & (best < negative)] = BACKGROUND
    result = torch.where(best >= positive, index, result)
    if best_from is not None:
        for g, (height, first) in enumerate(zip(*overlaps.max(0), strict=True)):
            if height >= best_from:
                result[overlaps[:, g] == height if ties else first] = g
    return result


def _apart_from(result: Tensor, anchors: Tensor, crowds: Tensor | None) -> Tensor:
    if crowds is not None and len(crowds):
        result[_crowded(anchors, crowds)] = IGNORED
    return result


def _crowded(anchors: Tensor, crowds: Tensor) -> Tensor:
    return (intersection(anchors[:, None], crowds) / area(anchors)[:, None].clamp(min=1e-6)).amax(1) > 0.5
