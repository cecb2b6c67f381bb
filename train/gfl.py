"""The losses of GFL for one batch: assignment, then the three losses (arXiv 2006.04388, section 3.4)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..models.detector import DenseDetector
from ..models.points import grid_points, points_first
from ..plugins.dfl.op import expectation
from .assign.atss import atss
from .boxes import iou
from .losses.boxes import giou_loss
from .losses.classification import quality_focal_loss
from .losses.distances import distribution_focal_loss

_ANCHOR_STRIDES = 8  # the side of a level's square anchor, in strides


def gfl_losses(
    model: DenseDetector, images: Tensor, boxes: Sequence[Tensor], labels: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Scalar losses `quality`, `giou` and `distribution` for images (n, 3, h, w) with boxes (g, 4) and labels (g,)."""
    head = model.bbox_head
    logits = model.logits(images)
    sizes = [x.shape[2:] for x in logits["sides"]]
    classes, sides = points_first(logits["classes"]), points_first(logits["sides"])
    points, strides = grid_points(sizes, head.strides, sides)
    half = strides * _ANCHOR_STRIDES / 2
    anchors = torch.cat((points - half, points + half), 1)
    assigned = [atss(anchors, [h * w for h, w in sizes], objects) for objects in boxes]
    image, point = torch.nonzero(torch.stack(assigned) >= 0, as_tuple=True)
    quality = torch.zeros_like(classes)
    if len(image) == 0:
        return {"quality": quality_focal_loss(classes, quality).sum(), "giou": 0 * sides.sum()}
    target = torch.cat([b[a[a >= 0]] for a, b in zip(assigned, boxes, strict=True)])
    label = torch.cat([c[a[a >= 0]] for a, c in zip(assigned, labels, strict=True)])

    at, step = points[point], strides[point]
    bins = sides[image, point].reshape(-1, 4, head.reg_max + 1)
    ltrb = expectation(bins) * step
    predicted = torch.cat((at - ltrb[:, :2], at + ltrb[:, 2:]), 1)
    quality[image, point, label] = iou(predicted.detach(), target)
    # Both box terms weight a point by its class score, so that good points matter most.
    weight = classes.detach().sigmoid()[image, point].amax(1)
    distance = torch.cat((at - target[:, :2], target[:, 2:] - at), 1) / step
    distribution = distribution_focal_loss(bins, distance.clamp(0, head.reg_max - 0.1)).mean(1)
    normaliser = weight.sum().clamp(min=1e-3)
    return {
        "quality": quality_focal_loss(classes, quality).sum() / len(image),
        "giou": 2.0 * (giou_loss(predicted, target) * weight).sum() / normaliser,
        "distribution": 0.25 * (distribution * weight).sum() / normaliser,
    }
