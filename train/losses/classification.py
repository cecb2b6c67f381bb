"""Losses of class scores per element, with gradients that depend on how hard an element is."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import in_fp32

_MARGIN = 1e-4  # CornerNet keeps probabilities this far from 0 and 1


@in_fp32
def focal_loss(logits: Tensor, targets: Tensor, gamma: float = 2.0, alpha: float = 0.25) -> Tensor:
    """-alpha_t (1 - p_t)^gamma log p_t (Lin et al., arXiv 1708.02002, equation 5).

    Logits and targets, 0 or 1, have the same shape. p_t is the probability of the target, and alpha_t is `alpha` for 1
    and 1 - `alpha` for 0.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    missing = torch.where(targets > 0, -logits, logits).sigmoid()  # 1 - p_t, exact where p_t is almost 1
    return torch.where(targets > 0, alpha, 1 - alpha) * missing.pow(gamma) * cross_entropy


@in_fp32
def quality_focal_loss(logits: Tensor, quality: Tensor, beta: float = 2.0) -> Tensor:
    """|quality - p|^beta BCE(p, quality) (GFL, Li et al., arXiv 2006.04388, equation 4).

    Logits and quality have the same shape. `quality` is the IoU of the prediction for the class of its object, and 0
    for other classes.
    """
    modulation = (quality - logits.sigmoid()).abs().pow(beta)
    return modulation * F.binary_cross_entropy_with_logits(logits, quality, reduction="none")


@in_fp32
def quality_focal_loss_of_scores(scores: Tensor, quality: Tensor, beta: float = 2.0) -> Tensor:
    """`quality_focal_loss` of scores 0..1 (GFL v2, Li et al., arXiv 2011.12885: class probability times quality)."""
    modulation = (quality - scores).abs().pow(beta)
    return modulation * F.binary_cross_entropy(scores, quality, reduction="none")


@in_fp32
def varifocal_loss(
    logits: Tensor, quality: Tensor, alpha: float = 0.75, gamma: float = 2.0, weighted: bool = True
) -> Tensor:
    """q BCE(p, q) where the quality q > 0, else alpha p^gamma BCE(p, 0) (Zhang et al., arXiv 2008.13367, equation 2).

    Logits and quality, as in `quality_focal_loss`, have the same shape. Without `weighted` the factor q of positives is
    1.
    """
    positive = quality > 0
    negatives = alpha * (logits.sigmoid() - quality).abs().pow(gamma)
    factor = torch.where(positive, quality if weighted else torch.ones_like(quality), negatives)
    return factor * F.binary_cross_entropy_with_logits(logits, quality, reduction="none")


@in_fp32
def gaussian_focal_loss(logits: Tensor, heat: Tensor, alpha: float = 2.0, beta: float = 4.0) -> Tensor:
    """-(1 - p)^alpha log p where the heat y is 1, else -(1 - y)^beta p^alpha log(1 - p) (CornerNet, Law and Deng,
    arXiv 1808.01244, equation 1).

    Logits and heat, Gaussians of height 1 around the points, have the same shape. Divide the sum by the number of
    points, or by 1 if there is none. As in the authors' code, p is held within 1e-4..1 - 1e-4.
    """
    p = logits.sigmoid().clamp(_MARGIN, 1 - _MARGIN)
    at_points = (1 - p).pow(alpha) * p.log()
    elsewhere = (1 - heat).pow(beta) * p.pow(alpha) * (1 - p).log()
    return -torch.where(heat == 1, at_points, elsewhere)
