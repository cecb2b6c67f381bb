"""Keypoints that a detector finds beside each box, such as the five points of a face."""

import numpy as np
from numpy.typing import NDArray

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
    count, found = len(skeleton.keypoints), outputs["keypoints"].shape[-1]
    if found != 2 * count:
        raise IncompatibleError(
            f"the model gives {found} coordinates of keypoints, its Card's skeleton has {count} keypoints; "
            "the file was changed after its export; export it again"
        )
    places = in_image(outputs["keypoints"][rows], frame).reshape(-1, count, 2)
    own = outputs.get("keypoint_scores")
    parts = np.repeat(scores[:, None], count, 1) if own is None else own[rows]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return Keypoints(np.concatenate((places, parts[..., None]), -1).astype(np.float32), skeleton, areas)
