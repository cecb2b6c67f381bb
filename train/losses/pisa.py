"""PISA (Cao et al., "Prime Sample Attention", arXiv 1904.04821): samples weigh by their rank within their class."""

import torch
from torch import Tensor

from .precision import in_fp32


@torch.no_grad()
@in_fp32
def importance_weights(
    ious: Tensor, objects: Tensor, labels: Tensor, losses: Tensor, k: float = 2.0, bias: float = 0.0
) -> Tensor:
    """Weights (p,) of the class losses of positives: ISR-P (section 4.2, equation 1).

    Shapes: ious (p,) of the decoded boxes with their objects (p,), indices, labels (p,) and their unweighted class
    losses (p,). Samples of a class are ranked by their rank among those of their object, then by IoU. The weights leave
    the sum of the losses as it is.
    """
    if len(ious) == 0:
        return ious
    largest = int(labels.bincount().max())
    weights = torch.ones_like(ious)
    within = _rank(ious, objects)
    for label in labels.unique():
        own = labels == label
        # The rank within the object comes first; IoUs are below 1.
        rank = _rank(ious[own] + largest - within[own], torch.zeros_like(labels[own]))
        weights[own] = (largest - rank) / largest
    weights = (bias + (1 - bias) * weights).pow(k)
    return weights * losses.sum() / (losses * weights).sum()


def _rank(values: Tensor, groups: Tensor) -> Tensor:
    """The number of larger values in the same group."""
    rank = torch.empty_like(values)
    for group in groups.unique():
        own = groups == group
        rank[own] = values[own].argsort(descending=True).argsort().to(values.dtype)
    return rank


@in_fp32
def classification_aware_regression_loss(
    losses: Tensor, probabilities: Tensor, k: float = 1.0, bias: float = 0.2
) -> Tensor:
    """Regression losses (p, ...) of positives weighted by their class probabilities (p,), whose gradient remains: CARL
    (section 4.3, equation 3). The mean weight is 1."""
    weights = (bias + (1 - bias) * probabilities).pow(k)
    weights = weights * len(weights) / weights.sum()
    return losses * weights.reshape(-1, *(1,) * (losses.ndim - 1))
