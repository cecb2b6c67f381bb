"""The base class of forms of top-down pose networks."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..columns.column import Column
from ..columns.keypoints import Keypoints
from ..contract.parse import require
from ..contract.port import Arrays
from ..contract.skeleton import Skeleton
from ..inputs.crop import WarpedFrame
from ..inputs.geometry import Size
from ..system.errors import IncompatibleError
from .form import Contract, CropForm, Mirror, Reading

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class KeypointForm(CropForm):
    """The keypoints of one person in each crop.

    With `flip` the mirrored crop runs too, and both views are averaged. A pose's quality is the mean of its keypoint
    scores above `least_score`, or of all scores if that is None. `spacing` tells whether positions in the grid are
    measured between the centres of its first and last pixel, as `Crop.spacing` does; None is as in the crop. `reports`
    are the indices of the keypoints in results, which are all without any.
    """

    flip: bool = True
    least_score: float | None = 0.2
    spacing: bool | None = None
    reports: tuple[int, ...] = ()

    task: ClassVar[str] = "pose"
    compares: ClassVar[str] = "poses"
    has_keypoints: ClassVar[bool] = True

    @abstractmethod
    def points(self, outputs: Arrays, mirrored: Arrays | None, order: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """The keypoints (n, k, 2) xy of n crops in px of the `grid`, and their scores (n, k).

        `order` (k,) is for each keypoint the index of the one that replaces it in the mirrored crop.
        """

    def grid(self, outputs: Arrays, canvas: Size) -> Size:
        """The (height, width) of the grid in whose px `points` are."""
        height, width = outputs["heatmaps"].shape[2:]
        return height, width

    def for_skeleton(self, skeleton: Skeleton) -> Self:
        return replace(self, flip=self.flip and bool(skeleton.pairs))

    def check(self, skeleton: Skeleton | None) -> None:
        require(skeleton is not None, "skeleton", "keypoints")
        assert skeleton is not None
        known = len(set(self.reports)) == len(self.reports) and set(self.reports) <= set(range(len(skeleton.keypoints)))
        require(known, "form.reports", "keypoints of the skeleton, each once at most")

    def reported(self, skeleton: Skeleton) -> Skeleton:
        return skeleton.only(self.reports) if self.reports else skeleton

    def read(self, outputs: Arrays, mirrored: Arrays | None, frames: Sequence[WarpedFrame], card: Contract) -> Reading:
        """Keypoints in px of the image, and the quality of each pose."""
        assert card.skeleton is not None
        frame = frames[0]
        spacing = frame.spacing if self.spacing is None else self.spacing
        parts, scores = self.parts(outputs, mirrored, card.skeleton, frame.canvas_size, spacing)
        if self.reports:
            parts, scores = parts[:, self.reports], scores[:, self.reports]
        places = np.stack([frame.to_image(own) for frame, own in zip(frames, parts, strict=True)])
        values = np.concatenate((places, scores[..., None]), -1).astype(np.float32)
        areas = np.array([np.prod(frame.size) for frame in frames], np.float32)
        return Reading((Keypoints(values, self.reported(card.skeleton), areas),), self._quality(scores))

    def nothing(self, card: Contract) -> tuple[Column, ...]:
        assert card.skeleton is not None
        skeleton = self.reported(card.skeleton)
        values = np.empty((0, len(skeleton.keypoints), 3), np.float32)
        return (Keypoints(values, skeleton, np.empty(0, np.float32)),)

    def parts(
        self, outputs: Arrays, mirrored: Arrays | None, skeleton: Skeleton, canvas: Size, spacing: bool
    ) -> tuple[Floats, Floats]:
        """The keypoints (n, k, 2) xy relative to the crop's width and height, and their scores (n, k).

        Raises IncompatibleError if the number of outputs differs from that of the skeleton's keypoints.
        """
        order = np.array(skeleton.mirrored(), np.int64)
        for output in self.outputs:
            if output.name in outputs and (count := outputs[output.name].shape[1]) != len(order):
                raise IncompatibleError(
                    f"the model gives {count} {output.name}, its Card's skeleton has {len(order)} keypoints; "
                    "the file was changed after its export; export it again"
                )
        points, scores = self.points(outputs, mirrored, order)
        height, width = self.grid(outputs, canvas)
        # A grid of one pixel has no spacing; its only position is 0.
        return points / np.array([max(width - spacing, 1), max(height - spacing, 1)], np.float32), scores

    def _quality(self, scores: Floats) -> Floats:
        """The quality (n,) of each pose from its keypoint scores (n, k); 0 if no score is above `least_score`."""
        if self.least_score is None:
            return scores.mean(1)
        counted = scores > self.least_score
        return np.where(counted, scores, 0).sum(1) / np.maximum(counted.sum(1), 1)


def averaged(
    maps: NDArray[Any], mirrored: NDArray[Any], mirror: Mirror, order: NDArray[np.int64], shift: float = 0.0
) -> Floats:
    """The mean of maps (n, k, ..., h, w) and mirrored crops' maps, mirrored back and moved right by `shift` px."""
    n, k, h, w = *maps.shape[:2], *maps.shape[-2:]
    components = math.prod(maps.shape[2:-2])
    planes = np.array([keypoint * components + c for keypoint in order.tolist() for c in range(components)], np.int64)
    if mirror.signs:
        mirrored = mirrored * np.array(mirror.signs, np.float32).reshape(-1, 1, 1)
    both = np.empty((n, k * components, h, w), np.float32)
    _native.average_views(maps.reshape(both.shape), mirrored.reshape(both.shape), planes, shift, both)
    return both.reshape(maps.shape)
