"""Heatmaps with offsets to the keypoint: UDP (Huang et al., arXiv 1911.07524, section 3.3)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.parse import require
from ..contract.port import Arrays
from .form import Mirror, Output
from .keypoints import Floats, KeypointForm, averaged

MAPS_AND_OFFSETS = (
    Output("heatmaps", "map", "range", mirror=Mirror()),
    Output("offsets", unit="range", mirror=Mirror(signs=(-1, 1))),
)
"""The outputs of networks with heatmaps and offsets."""


@dataclass(frozen=True)
class Offsets(KeypointForm):
    """A disc of `radius` px around each keypoint: `heatmaps` (n, k, h, w) and `offsets` (n, k, 2, h, w).

    The keypoint is the largest pixel of the map, smoothed with a Gaussian kernel of `blur` px, plus `radius` times the
    offset xy there, smoothed with a kernel of `offset_blur` px. The score is the value of that pixel. A map without a
    value above 0 gives the keypoint (-1, -1) plus `radius` times the offset at the end of the previous keypoint's map,
    as in mmpose. With `flip`, the mirrored crop's outputs are moved right by `shift` px.
    """

    radius: float
    blur: int = 23
    offset_blur: int = 1
    shift: float = 0.0
    kind: Literal["offsets"] = "offsets"

    outputs: ClassVar[tuple[Output, ...]] = MAPS_AND_OFFSETS

    def __post_init__(self) -> None:
        require(0 < self.radius <= 1024, "form.radius", "px above 0")
        require(0 <= self.shift <= 1, "form.shift", "0..1 px")
        for name in ("blur", "offset_blur"):
            value = getattr(self, name)
            require(value % 2 == 1 and 1 <= value <= 63, f"form.{name}", "an odd number of px, 1..63")

    @property
    def channels(self) -> int:
        return 3

    def points(self, outputs: Arrays, mirrored: Arrays | None, order: NDArray[np.int64]) -> tuple[Floats, Floats]:
        maps, offsets = both_views(outputs, mirrored, order, self.shift)
        points, scores = _native.offset_peaks(maps, offsets, self.radius, self.blur, self.offset_blur)
        return points.reshape(*maps.shape[:2], 2), scores.reshape(maps.shape[:2])


def both_views(
    outputs: Arrays, mirrored: Arrays | None, order: NDArray[np.int64], shift: float = 0.0
) -> tuple[Floats, Floats]:
    """The heatmaps and offsets, averaged with those of the mirrored crops if there are any."""
    found: list[Floats] = []
    for output in MAPS_AND_OFFSETS:
        values = outputs[output.name]
        if mirrored is not None and output.mirror is not None:
            values = averaged(values, mirrored[output.name], output.mirror, order, shift)
        found.append(values)
    maps, offsets = found
    return maps, offsets
