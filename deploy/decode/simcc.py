"""Outputs of SimCC networks: a row of bins for each coordinate."""

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..backends import Arrays
from ..forms import SimccDecode

Floats = NDArray[np.float32]


def decode(
    outputs: Arrays, mirrored: Arrays | None, spec: SimccDecode, order: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Of `x` and `y` (n, k, bins): keypoints (n, k, 2) xy in px of the crop, scores (n, k).

    The score is the smaller of both rows' largest values. Where it is not above 0, the keypoint is at bin (-1, -1).
    """
    x: Floats = outputs["x"]
    y: Floats = outputs["y"]
    if mirrored is not None:
        x = (x + mirrored["x"][:, order, ::-1]) * np.float32(0.5)
        y = (y + mirrored["y"][:, order]) * np.float32(0.5)
    x_blur, y_blur = spec.dark or (None, None)
    x_bins, x_best = _native.bin_peaks(x.reshape(-1, x.shape[2]), x_blur)
    y_bins, y_best = _native.bin_peaks(y.reshape(-1, y.shape[2]), y_blur)
    scores = np.minimum(x_best, y_best)
    points = np.stack((x_bins, y_bins), 1)
    points[~(scores > 0)] = -1
    points /= spec.split
    return points.reshape(*x.shape[:2], 2), scores.reshape(x.shape[:2])
