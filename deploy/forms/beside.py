"""Keypoints that a detector finds beside each box, such as the five points of a face, or in a map of each box."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..columns.keypoints import Keypoints
from ..contract.port import Arrays
from ..contract.skeleton import Skeleton
from ..inputs.geometry import Frame
from ..system.errors import IncompatibleError
from .boxes import in_image
from .form import Output

KEYPOINTS = (Output("keypoints", unit="px", optional=True), Output("keypoint_scores", optional=True))
"""The optional outputs: x and y px of k keypoints (n, a, 2k), and their scores (n, a, k)."""


def keypoints_beside(
    outputs: Arrays,
    rows: NDArray[np.int64],
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    frame: Frame,
    skeleton: Skeleton,
) -> Keypoints:
    """The keypoints of the detections in `rows` of the outputs, in px of the resized image.

    `boxes` and `scores` are those of the detections. A keypoint without a score of its own has that of its detection.
    Raises IncompatibleError if the number of outputs differs from that of the skeleton's keypoints.
    """
    count = len(skeleton.keypoints)
    _check(outputs["keypoints"].shape[-1], 2 * count, "coordinates of", skeleton)
    places = in_image(outputs["keypoints"][rows], frame).reshape(-1, count, 2)
    own = outputs.get("keypoint_scores")
    parts = np.repeat(scores[:, None], count, 1) if own is None else own[rows]
    return _keypoints(places, parts, boxes, skeleton)


def keypoints_within(heatmaps: NDArray[np.float32], boxes: NDArray[np.float32], skeleton: Skeleton) -> Keypoints:
    """The highest places of the maps (n, k, h, w) of each box, and as scores the values there.

    A map is enlarged bicubically to the size of its box in whole px, at least 1 (torchvision's rule for the network of
    Mask R-CNN, arXiv 1703.06870, section 5). `boxes` are in px of the resized image, and so are the keypoints. Raises
    IncompatibleError if the number of maps differs from that of the skeleton's keypoints.
    """
    count = len(skeleton.keypoints)
    _check(heatmaps.shape[1], count, "maps of", skeleton)
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 1, _MOST)
    whole = np.ceil(sides)
    points, scores = _native.region_peaks(heatmaps, whole[:, ::-1].astype(np.int64))
    places = (points.reshape(-1, count, 2) + 0.5) * (sides / whole)[:, None] + boxes[:, None, :2]
    return _keypoints(places, scores.reshape(-1, count), boxes, skeleton)


_MOST = 1 << 15  # px


def _check(found: int, expected: int, what: str, skeleton: Skeleton) -> None:
    if found != expected:
        raise IncompatibleError(
            f"the model gives {found} {what} keypoints, its Card's skeleton has {len(skeleton.keypoints)} keypoints; "
            "the file was changed after its export; export it again"
        )


def _keypoints(places: NDArray[Any], scores: NDArray[Any], boxes: NDArray[np.float32], skeleton: Skeleton) -> Keypoints:
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return Keypoints(np.concatenate((places, scores[..., None]), -1).astype(np.float32), skeleton, areas)
