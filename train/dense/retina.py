"""The losses of RetinaNet's head (arXiv 1708.02002, section 4.1) and IoU-aware RetinaNet's (arXiv 1912.05992)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...models.coders import deltas_to_boxes
from ...models.heads.retina import RetinaHead
from ...models.points import points_first
from ..assign import IGNORED
from ..assign.max_iou import max_iou
from ..boxes import boxes_to_deltas, corners
from ..losses.classification import focal_loss
from ..losses.quality import predicted_iou_loss
from .positives import find_positives


def retina_losses(
    head: RetinaHead, logits: dict[str, list[Tensor]], boxes: Sequence[Tensor], labels: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Scalar losses `classes` and `boxes`, L1 of the deltas, and `quality` where the head predicts the overlap."""
    sizes = [x.shape[2:] for x in logits["deltas"]]
    deltas = points_first(logits["deltas"]).unflatten(2, (-1, 4)).flatten(1, 2)
    classes = points_first(logits["classes"]).unflatten(2, (-1, head.classes)).flatten(1, 2)
    priors = head.anchors(sizes, deltas)
    assigned = [max_iou(corners(priors), objects) for objects in boxes]
    positives = find_positives(assigned, boxes, labels)
    count = max(1, len(positives))
    counted = torch.stack(assigned) != IGNORED
    own, found = priors[positives.point], deltas[positives.image, positives.point]
    targets = boxes_to_deltas(positives.boxes, own, head.stds, head.anchors.inclusive)
    losses = {
        "classes": (focal_loss(classes, positives.scatter(1.0, classes)) * counted[..., None]).sum() / count,
        "boxes": (found - targets).abs().sum() / count,
    }
    if "quality" in logits:
        quality = points_first(logits["quality"]).flatten(1)[positives.image, positives.point]
        predicted = deltas_to_boxes(found, own, head.stds, head.anchors.inclusive)
        losses["quality"] = predicted_iou_loss(quality, predicted, positives.boxes).sum() / count
    return losses
