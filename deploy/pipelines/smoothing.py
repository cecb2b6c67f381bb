"""Smooths the keypoints of each track over time."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..columns.keypoints import Keypoints
from ..columns.track_id import NO_TRACK
from ..results.instances import Instances
from ..system.errors import UsageError

_LEAST_CUTOFF = 1.0
"""Hz: how strongly keypoints at rest are smoothed."""
_MORE_CUTOFF = 10.0
"""Hz for each object size that a keypoint moves in a second. At a steady speed it lags by 1 / (20 pi) of the size."""
_SPEED_CUTOFF = 1.0
"""Hz, of the speed itself."""
_LONGEST_GAP = 1.0
"""Seconds, after which a track is smoothed anew."""


@dataclass
class OneEuro:
    """The 1-euro filter of the points (k, 2) px of one object: Casiez et al., "1 € Filter", CHI 2012.

    A low-pass filter for each coordinate. Its cutoff frequency grows with the speed, here in object sizes a second, so
    that the result does not depend on the resolution. `time` is in seconds.
    """

    points: NDArray[np.float64]
    time: float
    speed: NDArray[np.float64] | float = 0.0

    def update(self, points: NDArray[np.float64], time: float, size: float) -> NDArray[np.float64]:
        """The filtered points of a later time; `size` is the object's in px."""
        elapsed = time - self.time
        speed = (points - self.points) / (elapsed * size)
        self.speed += _weight(_SPEED_CUTOFF, elapsed) * (speed - self.speed)
        cutoff = _LEAST_CUTOFF + _MORE_CUTOFF * np.abs(self.speed)
        self.points = self.points + _weight(cutoff, elapsed) * (points - self.points)
        self.time = time
        return self.points


class Smoother:
    """A 1-euro filter for each track of a video."""

    def __init__(self) -> None:
        self._filters: dict[int, OneEuro] = {}

    def smoothed(self, found: Instances, time: float) -> Instances:
        """The detections of a frame with smoothed keypoints. Raises UsageError if there are no keypoints."""
        column = found.columns.get(Keypoints.name)
        if not isinstance(column, Keypoints):
            raise UsageError("smoothing is for keypoints, which this model does not find; leave out smooth")
        self._filters = {i: own for i, own in self._filters.items() if time - own.time <= _LONGEST_GAP}
        values = column.values.copy()
        sizes = np.sqrt(np.maximum(column.areas, 1.0)).tolist()
        for row, (number, size) in enumerate(zip(found.track_id.tolist(), sizes, strict=True)):
            points = values[row, :, :2].astype(np.float64)
            if number in self._filters:
                values[row, :, :2] = self._filters[number].update(points, time, size)
            elif number != NO_TRACK:
                self._filters[number] = OneEuro(points, time)
        return found.with_columns(replace(column, values=values))


def _weight(cutoff: NDArray[np.float64] | float, elapsed: float) -> NDArray[np.float64] | float:
    """The weight of a new value in a first-order low-pass filter."""
    turned = 2 * np.pi * cutoff * elapsed
    return turned / (turned + 1)
