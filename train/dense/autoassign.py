"""The losses of AutoAssign's head (arXiv 2007.03496, section 3.4)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...models.coders import distances_to_boxes
from ...models.heads.fcos import FCOSHead
from ...models.points import grid_points, points_first
from ..assign.autoassign import center_priors
from ..losses.autoassign import center_loss, negative_loss, positive_loss


def autoassign_losses(
    head: FCOSHead,
    logits: dict[str, list[Tensor]],
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    mean: Tensor,
    sigma: Tensor,
) -> dict[str, Tensor]:
    """Scalar losses `positive`, `negative` and `center`. The head's quality is the implicit objectness.

    The head is in FCOS' improved form; `mean` and `sigma` (classes, 2) are learned with it, see `CenterPrior`. The
    weights of the terms are those of the authors' code, as are the sums that divide them: of the objects, of the priors
    without a gradient, and of the images.
    """
    sizes = [x.shape[2:] for x in logits["sides"]]
    flat = {name: points_first(levels) for name, levels in logits.items()}
    points, strides = grid_points(sizes, head.strides, flat["sides"], head.offset)
    scores = flat["classes"].sigmoid() * flat["quality"].sigmoid()
    predicted = distances_to_boxes(flat["sides"].relu() * strides, points)
    terms: list[Tensor] = []
    mass = 0.0
    for score, found, objects, classes in zip(scores, predicted, boxes, labels, strict=True):
        priors, inside = center_priors(points, strides, objects, classes, mean, sigma)
        positive = positive_loss(score, found, priors, objects, classes).sum()
        negative = negative_loss(score, found, inside, objects, classes).sum()
        terms.append(torch.stack((positive, negative, center_loss(priors))))
        mass += priors.sum().item()
    positive, negative, center = torch.stack(terms).sum(0)
    return {
        "positive": 0.25 * positive / max(1, sum(map(len, boxes))),
        "negative": 0.75 * negative / max(1.0, mass),
        "center": 0.75 * center / len(boxes),
    }
