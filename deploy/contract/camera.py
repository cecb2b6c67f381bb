"""The pinhole camera that took an image."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .parse import require

LARGEST = 1e7
"""The largest valid focal length and coordinate in px."""


@dataclass(frozen=True)
class Camera:
    """Focal lengths and principal point in px: the point (x, y, z) appears at (fx x / z + cx, fy y / z + cy).

    x points right, y down and z away from the camera. In a mirrored image `fx` is negative.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        for name in ("fx", "fy"):
            value = getattr(self, name)
            require(math.isfinite(value) and 0 < abs(value) <= LARGEST, f"camera.{name}", "px, not 0")
        for name in ("cx", "cy"):
            value = getattr(self, name)
            require(math.isfinite(value) and abs(value) <= LARGEST, f"camera.{name}", "px")

    @classmethod
    def of(cls, matrix: Any) -> "Camera":
        """The camera of a matrix (3, 3). Raises FieldError if it is none of a pinhole camera, or has skew."""
        try:
            k = np.array(matrix, np.float64)
        except (TypeError, ValueError):
            k = np.zeros(0)
        require(k.size == 9, "K", "3x3 numbers")
        (fx, skew, cx), (zero, fy, cy), last = k.reshape(3, 3).tolist()
        plain = skew == zero == 0 and last == [0, 0, 1] and fx > 0 and fy > 0
        require(plain, "K", "the rows fx 0 cx, 0 fy cy and 0 0 1, with fx and fy above 0")
        return cls(fx, fy, cx, cy)

    @classmethod
    def usual(cls, shape: tuple[int, ...]) -> "Camera":
        """A camera with a usual lens for images (h, w, ...), to try a network with."""
        height, width = shape[:2]
        return cls(1.2 * max(height, width), 1.2 * max(height, width), width / 2, height / 2)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The matrix (3, 3) from points in space to homogeneous px."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])

    def moved(self, scale: tuple[float, float], shift: tuple[float, float] = (0.0, 0.0)) -> "Camera":
        """The camera of the image whose px are p * scale + shift in x and y."""
        (sx, sy), (tx, ty) = scale, shift
        return Camera(self.fx * sx, self.fy * sy, self.cx * sx + tx, self.cy * sy + ty)

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The px (..., 2) at which points (..., 3) in front of the camera appear."""
        return points[..., :2] / points[..., 2:] * (self.fx, self.fy) + (self.cx, self.cy)
