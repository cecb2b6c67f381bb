"""AutoAssign's three losses of one image (Zhu et al., arXiv 2007.03496). Its priors are in `assign/autoassign.py`."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..boxes import giou, iou
from .precision import in_fp32

_SMALL = 1e-12


@in_fp32
def positive_loss(
    scores: Tensor, boxes: Tensor, priors: Tensor, objects: Tensor, labels: Tensor, temperature: float = 3.0
) -> Tensor:
    """-log of each object's weighted mean confidence, (g,) (equation 6).

    Shapes: scores (a, c) 0..1, class times objectness, boxes (a, 4) xyxy px, priors (a, g), 0 outside the object,
    objects (g, 4), labels (g,). A confidence is the score times exp(-5 (1 - GIoU)); its weight exp(3 confidence) times
    the prior.
    """
    located = (-5 * (1 - giou(boxes[:, None], objects))).exp()  # (a, g)
    confidence = scores[:, labels] * located
    weights = (temperature * confidence).exp() * priors
    weights = weights / weights.sum(0, keepdim=True).clamp(min=_SMALL)
    mean = (confidence * weights).sum(0)
    return F.binary_cross_entropy(mean, torch.ones_like(mean), reduction="none")


@in_fp32
def negative_loss(scores: Tensor, boxes: Tensor, inside: Tensor, objects: Tensor, labels: Tensor) -> Tensor:
    """-(w p)^2 log(1 - w p) per score (equation 7), (a, c).

    Shapes as for `positive_loss`; `inside` (a, g) tells which points may belong to which object. w is 1 outside the
    objects. Inside one it falls, for its class, with 1 / (1 - IoU), scaled to 0..1 over the object's points. As in the
    authors' code, the IoU is that with the box's best object.
    """
    weights = torch.ones_like(scores)
    with torch.no_grad():
        if len(objects):
            closeness = 1 / (1 - iou(boxes[:, None], objects).amax(1)).clamp(min=_SMALL)
        for label, within in zip(labels.tolist(), inside.T, strict=True):
            if within.any():
                low, high = closeness[within].aminmax()
                weights[within, label] = 1 - (closeness[within] - low + _SMALL) / (high - low + _SMALL)
    p = scores * weights
    return p**2 * F.binary_cross_entropy(p, torch.zeros_like(p), reduction="none")


@in_fp32
def center_loss(priors: Tensor) -> Tensor:
    """Objects over the sum of their priors (a, g), a scalar: keeps the learned priors from shrinking (section 3.4)."""
    total = priors.sum()
    return priors.shape[1] / total.clamp(min=_SMALL) if (priors > 0).any() else 0 * total
