"""Keypoints as numbers: DeepPose (Toshev and Szegedy, arXiv 1312.4659) and RLE (Li et al., arXiv 2107.11291)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..contract.parse import require
from ..contract.port import Arrays
from ..inputs.geometry import Size
from .form import Output
from .keypoints import Floats, KeypointForm


@dataclass(frozen=True)
class Coordinates(KeypointForm):
    """The x and y of each keypoint, relative to the crop's width and height: `points` (n, k, 2).

    With `deviations` there are `deviations` (n, k, 2), 0..1, and the score is 1 minus their mean; without them every
    score is 1. With `flip` the coordinates of both views are averaged; those of the mirrored one are moved left by
    `shift`, a part of the crop's width.
    """

    deviations: bool = False
    shift: float = 0.0
    kind: Literal["coordinates"] = "coordinates"

    outputs: ClassVar[tuple[Output, ...]] = (Output("points"), Output("deviations", optional=True))

    def __post_init__(self) -> None:
        require(0 <= self.shift <= 1, "form.shift", "0..1")

    @property
    def channels(self) -> int:
        return 4 if self.deviations else 2

    def grid(self, outputs: Arrays, canvas: Size) -> Size:
        return 1, 1

    def points(self, outputs: Arrays, mirrored: Arrays | None, order: NDArray[np.int64]) -> tuple[Floats, Floats]:
        points, deviations = self._values(outputs)
        if mirrored is not None:
            theirs, other = (values[:, order] for values in self._values(mirrored))
            back = np.stack((1 - theirs[..., 0] - np.float32(self.shift), theirs[..., 1]), -1)
            points, deviations = (points + back) * np.float32(0.5), (deviations + other) * np.float32(0.5)
        return points.astype(np.float32), (1 - deviations.mean(-1)).astype(np.float32)

    def _values(self, outputs: Arrays) -> tuple[Floats, Floats]:
        points = outputs["points"]
        return points, outputs["deviations"] if self.deviations else np.zeros_like(points)
