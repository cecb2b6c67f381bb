"""The losses of VFNet's head (arXiv 2008.13367, section 3.4): ATSS, then varifocal and two overlaps."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...models.coders import distances_to_boxes
from ...models.heads.vfnet import VFNetHead
from ...models.points import grid_points, points_first
from ..assign.atss import atss
from ..boxes import iou
from ..losses.boxes import giou_loss
from ..losses.classification import varifocal_loss
from .positives import find_positives, weighted_mean


def vfnet_losses(
    head: VFNetHead,
    logits: dict[str, list[Tensor]],
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    anchor_side: float = 8.0,
) -> dict[str, Tensor]:
    """Scalar losses `quality`, `overlap` of the refined boxes and `first_overlap` of those before.

    ATSS sees square anchors of `anchor_side` strides. Both overlaps weight a point by its IoU.
    """
    sizes = [x.shape[2:] for x in logits["sides"]]
    classes = points_first(logits["classes"])
    points, strides = grid_points(sizes, head.strides, classes)
    half = strides * anchor_side / 2
    anchors = torch.cat((points - half, points + half), 1)
    counts = [h * w for h, w in sizes]
    positives = find_positives([atss(anchors, counts, objects) for objects in boxes], boxes, labels)
    losses: dict[str, Tensor] = {}
    for name, of, weight in (("first_sides", "first_overlap", 1.5), ("sides", "overlap", 2.0)):
        found = points_first(logits[name])[positives.image, positives.point]
        predicted = distances_to_boxes(found, points[positives.point])
        overlap = iou(predicted.detach(), positives.boxes)
        losses[of] = weight * weighted_mean(giou_loss(predicted, positives.boxes), overlap)
        if name == "sides":
            quality = positives.scatter(overlap, classes)
            losses["quality"] = varifocal_loss(classes, quality).sum() / max(1, len(positives))
    return losses
