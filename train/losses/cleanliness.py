"""Learning from Noisy Anchors (Li et al., arXiv 1912.05086): soft labels and weights from an anchor's cleanliness."""

import torch
from torch import Tensor

from .precision import in_fp32


@torch.no_grad()
@in_fp32
def cleanliness(ious: Tensor, confidences: Tensor, alpha: float = 0.75) -> Tensor:
    """alpha IoU + (1 - alpha) confidence, the soft label of a candidate (equation 3).

    Shapes: ious (...,) of the regressed boxes with their objects, and the predicted confidences (...,) of their class.
    """
    return alpha * ious + (1 - alpha) * confidences


@torch.no_grad()
@in_fp32
def cleanliness_weights(ious: Tensor, confidences: Tensor, alpha: float = 0.75, gamma: float = 1.0) -> Tensor:
    """(alpha / (1 - IoU) + (1 - alpha) / (1 - confidence))^gamma over its mean: the weights of the losses of candidates
    (equations 5 and 6). Shapes as for `cleanliness`."""
    small = 1e-6  # An exact box would weigh infinitely much.
    weights = alpha / (1 - ious).clamp(min=small) + (1 - alpha) / (1 - confidences).clamp(min=small)
    weights = weights.pow(gamma)
    return weights / weights.mean()
