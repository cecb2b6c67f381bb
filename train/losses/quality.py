"""Losses of the predicted quality of a box: its overlap, or how central its point is."""

from torch import Tensor
from torch.nn import functional as F

from ..boxes import iou
from .precision import in_fp32


@in_fp32
def predicted_iou_loss(logits: Tensor, boxes: Tensor, targets: Tensor, through_boxes: bool = False) -> Tensor:
    """BCE of the predicted overlap and the IoU of box and target (IoU-aware RetinaNet, Wu et al., arXiv 1912.05992,
    equation 3).

    Shapes: logits (...,), boxes and targets (..., 4) xyxy px; result (...,). With `through_boxes` the IoU passes its
    gradient on to the boxes (section 3.3).
    """
    overlap = iou(boxes if through_boxes else boxes.detach(), targets)
    return F.binary_cross_entropy_with_logits(logits, overlap, reduction="none")


def centerness(ltrb: Tensor) -> Tensor:
    """sqrt(min(l, r) / max(l, r) x min(t, b) / max(t, b)) of distances (..., 4) to the sides, all positive (FCOS, Tian
    et al., arXiv 1904.01355, equation 3)."""
    across, along = ltrb[..., 0::2], ltrb[..., 1::2]
    return (across.amin(-1) / across.amax(-1) * (along.amin(-1) / along.amax(-1))).sqrt()


@in_fp32
def centerness_loss(logits: Tensor, ltrb: Tensor) -> Tensor:
    """BCE of the predicted `centerness` (...,) of points with distances (..., 4) to the sides of their object."""
    return F.binary_cross_entropy_with_logits(logits, centerness(ltrb), reduction="none")
