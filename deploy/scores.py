"""Score fusion: how sure of the class times how good the box."""

import numpy as np
from numpy.typing import NDArray

from .card import Fusion


def fuse(scores: NDArray[np.float32], quality: NDArray[np.float32], fusion: Fusion) -> NDArray[np.float32]:
    """scores ** score_exponent * quality ** quality_exponent, of arrays that broadcast.

    Exponents (1, 1) are the product of FCOS and ATSS, (0.5, 0.5) its square root, (a, 1 - a) the IoU-aware
    score of arXiv 1912.05992, equation 6.
    """
    return _power(scores, fusion.score_exponent) * _power(quality, fusion.quality_exponent)


def least_score(conf: float, fusion: Fusion) -> float:
    """No pair whose score is this or less has a fused score above `conf`, whatever its quality."""
    if fusion.score_exponent == 0:
        return -1.0
    return conf ** (1 / fusion.score_exponent) * (1 - 1e-5)  # the powers are rounded


def _power(base: NDArray[np.float32], exponent: float) -> NDArray[np.float32]:
    if exponent == 0.5:
        return np.sqrt(base)  # a tenth of the time
    return base if exponent == 1.0 else np.power(base, np.float32(exponent))
