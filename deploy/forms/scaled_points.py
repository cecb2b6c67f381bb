"""Scales of faces and maps of their points: KPNet (arXiv 2003.07543)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..columns.keypoints import Keypoints
from ..contract.parse import require
from ..contract.skeleton import Skeleton
from ..results.instances import Instances
from .boxes import in_image
from .form import Contract, ImageForm, Output, Run
from .single_stage import Floats, peaks, positions

_SMALLEST, _BINS_PER_OCTAVE = 32.0, 10


@dataclass(frozen=True)
class ScaledPoints(ImageForm):
    """`scales` (n, bins, h, w), scores of the sides 32 * 2^(bin / 10) px, and `landmarks` (n, k, h, w), logits.

    A peak of the best bins' scores is a face with the side of its bin. The softmax of each landmark's logits in a
    square of that side around the peak has its mean at the point. The box is a square of that side around the mean of
    the points: the paper does not say where the box of its face lies around them. The `top_k` best peaks are faces.
    """

    top_k: int = 1000
    kind: Literal["scaled_points"] = "scaled_points"

    task: ClassVar[str] = "detection"
    outputs: ClassVar[tuple[Output, ...]] = (Output("scales"), Output("landmarks", unit="range"))

    def check(self, skeleton: Skeleton | None) -> None:
        require(skeleton is not None, "skeleton", "keypoints")

    def __post_init__(self) -> None:
        require(1 <= self.top_k <= 10_000, "form.top_k", "1..10000")

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The faces whose score exceeds `suppress.conf`, best first, with their points."""
        assert card.skeleton is not None
        [run] = runs
        scales, landmarks, frame = run.outputs["scales"], run.outputs["landmarks"], run.frame
        height, width = scales.shape[1:]
        best = scales.max(0)
        cells = peaks(best, 3, card.suppress.conf, self.top_k)
        scores = best.ravel()[cells]
        sides = _SMALLEST * 2 ** (scales.argmax(0).ravel()[cells] / _BINS_PER_OCTAVE)
        step = np.array([frame.canvas_size[1] / width, frame.canvas_size[0] / height], np.float32)
        places = positions(cells, width)
        parts = np.array(
            [means(landmarks, place, side / step) for place, side in zip(places, sides, strict=True)], np.float32
        ).reshape(-1, len(landmarks), 2)
        parts = in_image((parts * step).reshape(-1, 2), frame).reshape(parts.shape)
        middles, half = parts.mean(1), (sides / 2).astype(np.float32)[:, None]
        boxes = np.concatenate((middles - half, middles + half), 1)
        values = np.concatenate((parts, np.repeat(scores[:, None, None], parts.shape[1], 1)), 2)
        column = Keypoints(values.astype(np.float32), card.skeleton, (sides**2).astype(np.float32))
        labels = np.zeros(len(scores), np.int64)
        found = Instances(boxes, scores, labels, card.labels, frame.extent).with_columns(column)
        return found[np.isfinite(boxes).all(1)]


def means(landmarks: Floats, place: Floats, sides: Floats) -> Floats:
    """The mean places (k, 2) xy of the softmax of maps (k, h, w) in a window of `sides` (w, h) cells around a cell."""
    limits = (landmarks.shape[2], landmarks.shape[1])
    (left, right), (top, bottom) = (
        (max(0, int(np.ceil(middle - side / 2))), min(limit, int(np.floor(middle + side / 2)) + 1))
        for middle, side, limit in zip(place.tolist(), sides.tolist(), limits, strict=True)
    )
    window = landmarks[:, top:bottom, left:right].astype(np.float64)
    weights: NDArray[np.float64] = np.exp(window - np.max(window, (1, 2), keepdims=True))
    shares: Any = weights / np.sum(weights, (1, 2), keepdims=True)
    places: Any = (shares.sum(1) @ np.arange(left, right), shares.sum(2) @ np.arange(top, bottom))
    return np.stack(places, 1).astype(np.float32)
