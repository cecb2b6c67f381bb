"""FreeAnchor's losses of one image (Zhang et al., arXiv 1909.02466): every object picks among a bag of anchors."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..boxes import iou
from .distances import smooth_l1_loss
from .precision import in_fp32

_SMALL = 1e-12


@in_fp32
def positive_bag_loss(probabilities: Tensor) -> Tensor:
    """-log of the weighted mean of each bag's joint probabilities (equation 4 with the mean-max of equation 6).

    `probabilities` (g, k) are class probability times exp(-localisation loss) of the k anchors of g objects; result
    (g,). An anchor's weight is 1 / (1 - probability), so that a confident bag is its best anchor.
    """
    weights = 1 / (1 - probabilities).clamp(min=_SMALL)
    means = (probabilities * weights).sum(1) / weights.sum(1)
    return F.binary_cross_entropy(means, torch.ones_like(means), reduction="none")


@in_fp32
def negative_bag_loss(probabilities: Tensor, gamma: float = 2.0) -> Tensor:
    """-p^gamma log(1 - p) per element of the probabilities that an anchor is a class and no object (equation 5)."""
    p = probabilities.clamp(_SMALL, 1 - _SMALL)
    return p.pow(gamma) * F.binary_cross_entropy(p, torch.zeros_like(p), reduction="none")


@in_fp32
def joint_probabilities(
    scores: Tensor, deltas: Tensor, targets: Tensor, labels: Tensor, bags: Tensor, beta: float = 0.11
) -> Tensor:
    """Class probability times exp(-0.75 smooth L1) of each object's bag, (g, k) (section 3.2).

    Shapes: scores (a, c) 0..1, deltas (a, 4), the deltas (g, k, 4) from the bag's anchors to their object, labels (g,)
    and anchor indices `bags` (g, k).
    """
    located = (-0.75 * smooth_l1_loss(deltas[bags], targets, beta).sum(-1)).exp()
    return scores[bags].gather(2, labels[:, None, None].expand(*bags.shape, 1)).squeeze(2) * located


@torch.no_grad()
def object_probabilities(boxes: Tensor, objects: Tensor, labels: Tensor, classes: int, floor: float = 0.6) -> Tensor:
    """How much each predicted box (a, 4) is an object of each class, (a, c), 0..1 (section 3.3).

    It rises with the IoU from 0 at `floor` to 1 at the best box of the object (g, 4).
    """
    overlaps = iou(objects[:, None], boxes)  # (g, a)
    best = overlaps.amax(1, keepdim=True).clamp(min=floor + _SMALL)
    shares = ((overlaps - floor) / (best - floor)).clamp(0, 1)
    found = boxes.new_zeros(classes, len(boxes))
    for label, share in zip(labels.tolist(), shares, strict=True):
        found[label] = torch.maximum(found[label], share)
    return found.T
