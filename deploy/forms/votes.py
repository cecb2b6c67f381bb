"""Hough voting with heatmaps and offsets: G-RMI (Papandreou et al., arXiv 1701.01779)."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.parse import require
from ..contract.port import Arrays
from .form import Output
from .keypoints import Floats, KeypointForm
from .offsets import MAPS_AND_OFFSETS, both_views


@dataclass(frozen=True)
class Votes(KeypointForm):
    """A disc of `radius` px around each keypoint: `heatmaps` (n, k, h, w), 0..1, `offsets` (n, k, 2, h, w) px.

    Each pixel adds its probability divided by the disc's area at the position that its offset points to, distributed
    bilinearly over four pixels (equation 1, section 3.2). The keypoint is the largest pixel of the sum, and the score
    is its value.
    """

    radius: float
    least_score: float | None = field(default=None, kw_only=True)
    kind: Literal["hough"] = "hough"

    outputs: ClassVar[tuple[Output, ...]] = MAPS_AND_OFFSETS

    def __post_init__(self) -> None:
        require(0 < self.radius <= 1024, "form.radius", "px above 0")

    @property
    def channels(self) -> int:
        return 3

    def points(self, outputs: Arrays, mirrored: Arrays | None, order: NDArray[np.int64]) -> tuple[Floats, Floats]:
        maps, offsets = both_views(outputs, mirrored, order)
        points, scores = _native.vote_peaks(maps, offsets, self.radius)
        return points.reshape(*maps.shape[:2], 2), scores.reshape(maps.shape[:2])
