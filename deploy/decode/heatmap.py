"""Outputs of networks that draw a map for every keypoint."""

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..backends import Arrays
from ..forms import HeatmapDecode

Floats = NDArray[np.float32]


def decode(
    outputs: Arrays, mirrored: Arrays | None, spec: HeatmapDecode, order: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Of `heatmaps` (n, k, h, w): keypoints (n, k, 2) xy in px of the maps, scores (n, k).

    A score is the map's largest value / `scale`. A map without a value above 0 has its keypoint at (-1, -1).

    | method | place |
    |---|---|
    | argmax | the first largest pixel |
    | quarter | a quarter of a pixel on, towards the larger neighbour on each axis |
    | parabola | the top of the parabola through three pixels, on each axis |
    | paraboloid | the top of the least-squares paraboloid of 3x3 pixels |
    | dark | a Newton step on the logarithm of the smoothed map (Zhang et al., arXiv 1910.06278) |
    | udp | the same with derivatives over one pixel (Huang et al., arXiv 1911.07524) |
    | megvii | a quarter on the smoothed map, and the pixel's middle: MSPN (Li et al., arXiv 1901.00148) in mmpose |
    | second_peak | the same by its authors: a quarter towards the second largest pixel of the smoothed map |
    | gaussfit | the centre of the least-squares Gaussian |
    | integral | the mean under a softmax (Sun et al., arXiv 1711.08229), where every score is 1 |

    The two rules of Megvii add 0.5 to the score, and the second one takes the value at the place that it finds.
    """
    maps = outputs["heatmaps"]
    if spec.method == "integral":
        return _integral(maps, None if mirrored is None else mirrored["heatmaps"], spec, order)
    if mirrored is not None:
        maps = average(maps, mirrored["heatmaps"], order, spec.shift)
    return _peaks(maps, spec)


def average(maps: Floats, mirrored: Floats, order: NDArray[np.int64], shift: float) -> Floats:
    """The mean of maps (n, k, h, w) and of those of the mirrored crops, mirrored back and moved right by `shift` px."""
    both = np.empty(maps.shape, np.float32)
    _native.average_views(maps, mirrored, order, shift, both)
    return both


def _peaks(maps: Floats, spec: HeatmapDecode) -> tuple[Floats, Floats]:
    points, scores = _native.heatmap_peaks(maps, spec.method, spec.blur, spec.sigma, spec.beta, spec.debias, spec.scale)
    return points.reshape(*maps.shape[:2], 2), scores.reshape(maps.shape[:2])


def _integral(
    maps: Floats, mirrored: Floats | None, spec: HeatmapDecode, order: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """The mean of a mean: views are averaged as coordinates, since softmax is not linear."""
    points, scores = _peaks(maps, spec)
    if mirrored is not None:
        back = _peaks(mirrored, spec)[0][:, order]
        back[..., 0] = maps.shape[3] - 1 - back[..., 0] + spec.shift
        points = (points + back) * np.float32(0.5)
    return points, scores
