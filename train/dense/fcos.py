"""The losses of FCOS' head (arXiv 1904.01355, section 3)."""

import math
from collections.abc import Sequence

from torch import Tensor

from ...models.coders import distances_to_boxes
from ...models.heads.fcos import FCOSHead
from ...models.points import grid_points, points_first
from ..assign.fcos import distances, fcos
from ..losses.boxes import giou_loss, iou_loss
from ..losses.classification import focal_loss
from ..losses.quality import centerness, centerness_loss
from .positives import find_positives, weighted_mean

_LIMIT = 8  # strides, of the objects that a level answers for
_RADIUS = 1.5  # strides, of the points around a centre that the improved form counts


def fcos_losses(
    head: FCOSHead,
    logits: dict[str, list[Tensor]],
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    limits: Sequence[float] | None = None,
    radius: float | None = None,
) -> dict[str, Tensor]:
    """Scalar losses `classes`, `overlap` and `centerness`.

    The original form learns -ln IoU of all points inside an object, the improved one GIoU of those near its centre.
    `limits` are those of `assign.fcos`, by default 8 strides and none for the last level; `radius` replaces 1.5.
    """
    sizes = [x.shape[2:] for x in logits["sides"]]
    classes, sides = points_first(logits["classes"]), points_first(logits["sides"])
    points, strides = grid_points(sizes, head.strides, sides, head.offset)
    limits = limits or (*(_LIMIT * stride for stride in head.strides[:-1]), math.inf)
    radius = (radius or _RADIUS) if head.improved else None
    counts = [h * w for h, w in sizes]
    assigned = [fcos(points, strides, counts, objects, limits, radius) for objects in boxes]
    positives = find_positives(assigned, boxes, labels)
    count = max(1, len(positives))
    at, step = points[positives.point], strides[positives.point]
    raw = sides[positives.image, positives.point]
    predicted = distances_to_boxes(raw.relu() * step if head.improved else raw.exp(), at)
    targets = distances(at, positives.boxes)
    quality = points_first(logits["quality"]).squeeze(2)[positives.image, positives.point]
    overlap = (giou_loss if head.improved else iou_loss)(predicted, positives.boxes)
    return {
        "classes": focal_loss(classes, positives.scatter(1.0, classes)).sum() / count,
        "overlap": weighted_mean(overlap, centerness(targets)),
        "centerness": centerness_loss(quality, targets).sum() / count,
    }
