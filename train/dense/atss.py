"""The losses of ATSS' head (arXiv 1912.02424): its assignment, and the losses of FCOS with GIoU."""

from collections.abc import Sequence

from torch import Tensor

from ...models.coders import deltas_to_boxes
from ...models.heads.atss import ATSSHead
from ...models.points import points_first
from ..assign.atss import atss
from ..assign.fcos import distances
from ..boxes import corners
from ..losses.boxes import giou_loss
from ..losses.classification import focal_loss
from ..losses.quality import centerness, centerness_loss
from .positives import find_positives, weighted_mean


def atss_losses(
    head: ATSSHead, logits: dict[str, list[Tensor]], boxes: Sequence[Tensor], labels: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Scalar losses `classes`, `overlap` and `centerness`."""
    sizes = [x.shape[2:] for x in logits["deltas"]]
    classes, deltas = points_first(logits["classes"]), points_first(logits["deltas"])
    priors = head.anchors(sizes, deltas)
    counts = [h * w for h, w in sizes]
    assigned = [atss(corners(priors), counts, objects) for objects in boxes]
    positives = find_positives(assigned, boxes, labels)
    count = max(1, len(positives))
    own = priors[positives.point]
    found = deltas[positives.image, positives.point]
    predicted = deltas_to_boxes(found, own, head.stds, head.inclusive)
    targets = distances(own[:, :2], positives.boxes)
    quality = points_first(logits["quality"]).squeeze(2)[positives.image, positives.point]
    return {
        "classes": focal_loss(classes, positives.scatter(1.0, classes)).sum() / count,
        "overlap": 2.0 * weighted_mean(giou_loss(predicted, positives.boxes), centerness(targets)),
        "centerness": centerness_loss(quality, targets).sum() / count,
    }
