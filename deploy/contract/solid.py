"""The rigid object whose pose a network finds."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .parse import require

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Solid:
    """An object in its own coordinates: the box from `low` to `high` around it, and `keypoints` on it, in `unit`.

    A network that finds keypoints gives them in this order. `diameter` is the largest distance between two points of
    the object, if it is known.
    """

    low: Point
    high: Point
    keypoints: tuple[Point, ...] = ()
    unit: Literal["mm", "m"] = "mm"
    diameter: float | None = None

    def __post_init__(self) -> None:
        values = [value for point in (self.low, self.high, *self.keypoints) for value in point]
        require(all(math.isfinite(value) and abs(value) <= 1e6 for value in values), "solid", "coordinates")
        sides = zip(self.low, self.high, strict=True)
        require(all(low < high for low, high in sides), "solid.high", "a corner above that of `low` on every axis")
        require(len(self.keypoints) <= 4096, "solid.keypoints", "4096 points at most")
        require(self.diameter is None or 0 < self.diameter <= 1e6, "solid.diameter", "a length above 0")

    @property
    def corners(self) -> NDArray[np.float64]:
        """The corners (8, 3) of the box: corner i has the high x, y and z for the bits 4, 2 and 1 of i."""
        bits = np.arange(8)[:, None] >> np.array([2, 1, 0]) & 1
        return np.where(bits, self.high, self.low).astype(np.float64)

    @property
    def span(self) -> float:
        """The diameter in mm; that of the box where it is not known."""
        whole = float(np.linalg.norm(np.subtract(self.high, self.low)))
        return (self.diameter or whole) * self.millimetres

    @property
    def millimetres(self) -> float:
        """The mm in one unit."""
        return 1.0 if self.unit == "mm" else 1000.0
