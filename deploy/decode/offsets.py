"""Outputs of UDP networks: a disc around every keypoint, in it where the keypoint lies."""

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..backends import Arrays
from ..forms import OffsetDecode
from .heatmap import average

Floats = NDArray[np.float32]


def decode(
    outputs: Arrays, mirrored: Arrays | None, spec: OffsetDecode, order: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Of `heatmaps` (n, k, h, w) and `offsets` (n, k, 2, h, w): keypoints (n, k, 2) xy, scores (n, k).

    The largest pixel of the smoothed map plus `radius` times its smoothed offset, in px of the maps; the score is that
    pixel's value. (-1, -1) where no value is above 0.
    """
    maps, offsets = both_views(outputs, mirrored, order)
    points, scores = _native.offset_peaks(maps, offsets, spec.radius, spec.blur, spec.offset_blur)
    return points.reshape(*maps.shape[:2], 2), scores.reshape(maps.shape[:2])


def both_views(outputs: Arrays, mirrored: Arrays | None, order: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Maps and offsets, each averaged with those of the mirrored crops, in which offsets in x have the other sign."""
    maps, offsets = outputs["heatmaps"], outputs["offsets"]
    if mirrored is None:
        return maps, offsets
    n, k, _, h, w = offsets.shape
    other = mirrored["offsets"] * np.array([-1, 1], np.float32).reshape(2, 1, 1)
    planes = np.stack((2 * order, 2 * order + 1), 1).reshape(-1)
    flat = average(offsets.reshape(n, 2 * k, h, w), other.reshape(n, 2 * k, h, w), planes, 0)
    return average(maps, mirrored["heatmaps"], order, 0), flat.reshape(offsets.shape)
