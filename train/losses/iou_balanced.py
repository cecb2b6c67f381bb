"""IoU-balanced losses (Wu et al., arXiv 1908.05641): positives weigh by the overlap of their boxes."""

import torch
from torch import Tensor

from .precision import in_fp32


@in_fp32
def iou_balanced_classification(losses: Tensor, ious: Tensor, eta: float = 1.5) -> Tensor:
    """Class losses of positives times IoU^eta, scaled so that their sum stays the same (equations 4 to 6).

    Shapes: losses and ious (p,); result (p,). The weights have no gradient.
    """
    with torch.no_grad():
        weights = ious.pow(eta)
        weights = weights * losses.sum() / (losses * weights).sum().clamp(min=torch.finfo(losses.dtype).tiny)
    return losses * weights


@in_fp32
def iou_balanced_regression(losses: Tensor, ious: Tensor, delta: float = 1.5) -> Tensor:
    """Regression losses (p, ...) of positives times IoU^delta, without a gradient of the weights (equation 7)."""
    return losses * ious.detach().pow(delta).reshape(-1, *(1,) * (losses.ndim - 1))
