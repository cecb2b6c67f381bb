"""Heatmaps and tags of all people at once to who they are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..forms import TagDecode


@dataclass(frozen=True)
class People:
    """`parts` (n, k, 2) xy as parts of the map, `scores` (n, k), and `totals` (n,), those of the people.

    A keypoint that was found nowhere has the score 0 and lies at the origin, or where UDP's refinement takes that.
    """

    parts: NDArray[np.float32]
    scores: NDArray[np.float32]
    totals: NDArray[np.float32]


def decode(heatmaps: NDArray[np.float32], tags: NDArray[np.float32], spec: TagDecode, spacing: bool) -> People:
    """The people of one image, in the order in which the grouping comes upon them.

    Shapes: heatmaps (k, h, w), tags (views, k, h, w): of the image, and of the mirrored one where that ran too.
    With `spacing` pixels are points and keypoints are refined as UDP does, with a kernel of 3 px.
    """
    k, h, w = heatmaps.shape
    places, scores, totals = _native.group(
        np.ascontiguousarray(heatmaps),
        np.ascontiguousarray(tags),
        np.array(spec.order),
        spec.top_k,
        spec.least_peak,
        spec.tag_distance,
        spacing,
        spec.rule == "mmpose",
    )
    size = np.maximum(np.array([w, h], np.float32) - spacing, 1)
    return People((places.reshape(-1, k, 2) / size).astype(np.float32), scores.reshape(-1, k), totals)
