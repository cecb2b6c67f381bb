"""Score fusion: combines a class score and a predicted quality."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .. import _native
from .parse import require


@dataclass(frozen=True)
class Fusion:
    """The fused score is score ** score_exponent * quality ** quality_exponent.

    `threshold_by` is the score that must exceed `suppress.conf`: the class score or the fused one. `rank_by` is the
    score that selects the top k. For a pose in a crop, the score is that of the box and the quality that of the
    keypoints.
    """

    score_exponent: float = 1.0
    quality_exponent: float = 0.0
    threshold_by: Literal["score", "fused"] = "score"
    rank_by: Literal["score", "fused"] = "score"

    def __post_init__(self) -> None:
        for name in ("score_exponent", "quality_exponent"):
            require(0.0 <= getattr(self, name) <= 4.0, f"fusion.{name}", "0..4")

    @property
    def exponents(self) -> tuple[float, float]:
        """The exponents of the score and the quality."""
        return self.score_exponent, self.quality_exponent


def fuse(scores: NDArray[np.float32], quality: NDArray[np.float32], fusion: Fusion) -> NDArray[np.float32]:
    """The fused scores (n,) of class scores (n,) and qualities (n,).

    Exponents (1, 1) give the product used by FCOS and ATSS, (0.5, 0.5) its square root, and (a, 1 - a) the IoU-aware
    score of arXiv 1912.05992, equation 6.
    """
    return _native.fuse(scores, quality, fusion.exponents)
