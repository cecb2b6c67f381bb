"""The losses of GFL's heads: ATSS, then quality, overlap and distribution (arXiv 2006.04388, section 3.4)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...models.heads.gfl import GFLHead
from ...models.points import grid_points, points_first
from ...plugins.dfl.op import expectation
from ..assign.atss import atss
from ..assign.fcos import distances
from ..boxes import iou
from ..losses.boxes import giou_loss
from ..losses.classification import quality_focal_loss, quality_focal_loss_of_scores
from ..losses.distances import distribution_focal_loss
from .positives import find_positives, weighted_mean

_LAST = 0.1  # A distance stays so far below the last bin, because it needs a bin above it.


def gfl_losses(
    head: GFLHead,
    logits: dict[str, list[Tensor]],
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    anchor_side: float = 8.0,
) -> dict[str, Tensor]:
    """Scalar losses `quality`, `overlap` and `distribution`; ATSS sees square anchors of `anchor_side` strides."""
    sizes = [x.shape[2:] for x in logits["sides"]]
    classes, sides = points_first(logits["classes"]), points_first(logits["sides"])
    points, strides = grid_points(sizes, head.strides, sides)
    half = strides * anchor_side / 2
    anchors = torch.cat((points - half, points + half), 1)
    counts = [h * w for h, w in sizes]
    positives = find_positives([atss(anchors, counts, objects) for objects in boxes], boxes, labels)

    at, step = points[positives.point], strides[positives.point]
    bins = sides[positives.image, positives.point].reshape(-1, 4, head.reg_max + 1)
    ltrb = expectation(bins) * step
    predicted = torch.cat((at - ltrb[:, :2], at + ltrb[:, 2:]), 1)
    quality = positives.scatter(iou(predicted.detach(), positives.boxes), classes)
    if "quality" in logits:  # version 2
        scores = classes.sigmoid() * points_first(logits["quality"]).sigmoid()
        of_classes = quality_focal_loss_of_scores(scores, quality)
    else:
        scores, of_classes = classes.sigmoid(), quality_focal_loss(classes, quality)
    # Both box losses weight a point by its class score, so that good points matter most.
    weights = scores.detach()[positives.image, positives.point].amax(1)
    distance = (distances(at, positives.boxes) / step).clamp(0, head.reg_max - _LAST)
    return {
        "quality": of_classes.sum() / max(1, len(positives)),
        "overlap": 2.0 * weighted_mean(giou_loss(predicted, positives.boxes), weights),
        "distribution": 0.25 * weighted_mean(distribution_focal_loss(bins, distance).mean(1), weights),
    }
