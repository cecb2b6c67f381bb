"""Adaptive training sample selection (Zhang et al., arXiv 1912.02424, algorithm 1)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .boxes import iou

_CANDIDATES = 9  # k of the paper
_ANCHOR_STRIDES = 8  # the side of a level's square anchor, in strides


def atss(points: Tensor, strides: Tensor, level_sizes: Sequence[int], objects: Tensor) -> Tensor:
    """Assign an object, or -1 for background, to each point.

    Shapes: points (a, 2) and strides (a, 1) px, level by level with `level_sizes` points each, objects (g, 4)
    xyxy px; result (a,) int64 indices into `objects`.
    """
    background = torch.full((len(points),), -1, device=points.device)
    if len(objects) == 0:
        return background
    half = strides * _ANCHOR_STRIDES / 2
    overlaps = iou(torch.cat((points - half, points + half), 1)[:, None], objects[None])  # (a, g)
    centres = (objects[:, :2] + objects[:, 2:]) / 2
    distance = (points[:, None] - centres[None]).square().sum(-1)  # (a, g)
    candidates: list[Tensor] = []
    start = 0
    for size in level_sizes:
        nearest = distance[start : start + size].topk(min(_CANDIDATES, size), 0, largest=False).indices
        candidates.append(nearest + start)
        start += size
    chosen = torch.cat(candidates)  # (k * levels, g)
    candidate_overlaps = overlaps.gather(0, chosen)
    threshold = candidate_overlaps.mean(0) + candidate_overlaps.std(0)
    sides = torch.cat((points[:, None] - objects[None, :, :2], objects[None, :, 2:] - points[:, None]), -1)
    inside = (sides.amin(-1) > 0.01).gather(0, chosen)
    positive = (candidate_overlaps >= threshold) & inside
    score = torch.full_like(overlaps, -1.0)
    score.scatter_(0, chosen, torch.where(positive, candidate_overlaps, -1.0))
    best, index = score.max(1)  # A point with several candidate objects takes the one of the largest overlap.
    return torch.where(best >= 0, index, background)
