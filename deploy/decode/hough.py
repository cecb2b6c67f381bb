"""Outputs of G-RMI networks: every pixel of a disc around a keypoint votes for it."""

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..backends import Arrays
from ..forms import HoughDecode
from .offsets import both_views

Floats = NDArray[np.float32]


def decode(
    outputs: Arrays, mirrored: Arrays | None, spec: HoughDecode, order: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Of `heatmaps` (n, k, h, w) and `offsets` (n, k, 2, h, w) px: keypoints (n, k, 2) xy, scores (n, k).

    Each pixel adds its probability, over the disc's area, where its offset points, split among four pixels
    (Papandreou et al., arXiv 1701.01779, section 3.2). The keypoint is the largest pixel of the sum, in px of the
    maps, and the score its value.
    """
    maps, offsets = both_views(outputs, mirrored, order)
    points, scores = _native.vote_peaks(maps, offsets, spec.radius)
    return points.reshape(*maps.shape[:2], 2), scores.reshape(maps.shape[:2])
