"""DPVL (Yu et al., arXiv 2002.03923): the distance between a keypoint and the line that a pixel votes for."""

import torch
from torch import Tensor

from .distances import smooth_l1_loss
from .precision import in_fp32

_SMALL = 1e-6  # A vector shorter than that has no direction.


@in_fp32
def proxy_voting_loss(vectors: Tensor, pixels: Tensor, keypoints: Tensor) -> Tensor:
    """Smooth L1 of |v_y k_x - v_x k_y + v_x p_y - v_y p_x| / |v|, (...,) (equations 3 and 4).

    Shapes: vectors v, pixels p and keypoints k, each (..., 2) xy px.
    """
    across = vectors[..., 1] * (keypoints - pixels)[..., 0] - vectors[..., 0] * (keypoints - pixels)[..., 1]
    # The square root has no gradient at 0.
    length = vectors.square().sum(-1).clamp(min=_SMALL**2).sqrt()
    distance = across / length
    return smooth_l1_loss(distance, torch.zeros_like(distance))
