"""Adaptive training sample selection (Zhang et al., arXiv 1912.02424, algorithm 1)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..boxes import iou
from . import BACKGROUND


@torch.no_grad()
def atss(anchors: Tensor, level_sizes: Sequence[int], objects: Tensor, k: int = 9) -> Tensor:
    """An object's index, or BACKGROUND, for each anchor.

    Shapes: anchors (a, 4) xyxy px, level by level with `level_sizes` anchors each, objects (g, 4) xyxy px; result (a,)
    int64. `k` candidates per level are those nearest to the object's centre.
    """
    background = torch.full((len(anchors),), BACKGROUND, device=anchors.device)
    if len(objects) == 0:
        return background
    overlaps = iou(anchors[:, None], objects)  # (a, g)
    points, centres = ((boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (anchors, objects))
    distance = (points[:, None] - centres).square().sum(-1)  # (a, g)
    candidates: list[Tensor] = []
    start = 0
    for size in level_sizes:
        nearest = distance[start : start + size].topk(min(k, size), 0, largest=False).indices
        candidates.append(nearest + start)
        start += size
    chosen = torch.cat(candidates)  # (k * levels, g)
    candidate_overlaps = overlaps.gather(0, chosen)
    threshold = candidate_overlaps.mean(0) + candidate_overlaps.std(0)
    sides = torch.cat((points[:, None] - objects[:, :2], objects[:, 2:] - points[:, None]), -1)
    inside = (sides.amin(-1) > 0.01).gather(0, chosen)
    positive = (candidate_overlaps >= threshold) & inside
    score = torch.full_like(overlaps, -1.0)
    score.scatter_(0, chosen, torch.where(positive, candidate_overlaps, -1.0))
    best, index = score.max(1)  # A point with several candidate objects takes the one of the largest overlap.
    return torch.where(best >= 0, index, background)
