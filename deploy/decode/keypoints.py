"""Keypoints of the people in a batch of crops: one file per form of output."""

import numpy as np
from numpy.typing import NDArray

from ..backends import Arrays
from ..errors import IncompatibleError
from ..forms import CropDecode, HeatmapDecode, HoughDecode, OffsetDecode
from ..skeleton import Skeleton
from . import heatmap, hough, offsets, simcc

Floats = NDArray[np.float32]


def keypoints(
    outputs: Arrays,
    mirrored: Arrays | None,
    spec: CropDecode,
    skeleton: Skeleton,
    spacing: bool,
    canvas: tuple[int, int],
) -> tuple[Floats, Floats]:
    """Of n crops of `canvas` (height, width) px, keypoints (n, k, 2) xy and their scores (n, k).

    Keypoints are in parts of the crop's width and height, `spacing` as in the Card's input. With the outputs for the
    `mirrored` crops both views are averaged. IncompatibleError where the outputs are not as many as the keypoints.
    """
    order = np.array(skeleton.mirrored(), np.int64)
    for name, output in outputs.items():
        if output.shape[1] != len(order):
            raise IncompatibleError(
                f"the model gives {output.shape[1]} {name}, its Card's skeleton has {len(order)} keypoints; "
                "the file was changed after its export; export it anew"
            )
    if isinstance(spec, HeatmapDecode):
        points, scores = heatmap.decode(outputs, mirrored, spec, order)
    elif isinstance(spec, OffsetDecode):
        points, scores = offsets.decode(outputs, mirrored, spec, order)
    elif isinstance(spec, HoughDecode):
        points, scores = hough.decode(outputs, mirrored, spec, order)
    else:
        points, scores = simcc.decode(outputs, mirrored, spec, order)
    height, width = canvas if spec.kind == "simcc" else outputs["heatmaps"].shape[2:]
    # One pixel has no spacing, and its keypoints no other place than 0.
    points /= np.array([max(width - spacing, 1), max(height - spacing, 1)], np.float32)
    return points, scores
