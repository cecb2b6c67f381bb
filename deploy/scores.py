"""Score fusion: how sure of the class times how good the box."""

import numpy as np
from numpy.typing import NDArray

from . import _native
from .card import Fusion


def fuse(scores: NDArray[np.float32], quality: NDArray[np.float32], fusion: Fusion) -> NDArray[np.float32]:
    """scores ** score_exponent * quality ** quality_exponent, of arrays (n,).

    Exponents (1, 1) are the product of FCOS and ATSS, (0.5, 0.5) its square root, (a, 1 - a) the IoU-aware
    score of arXiv 1912.05992, equation 6.
    """
    return _native.fuse(scores, quality, exponents(fusion))


def exponents(fusion: Fusion) -> tuple[float, float]:
    """Of the score and of the quality."""
    return fusion.score_exponent, fusion.quality_exponent
