"""The points in space that a depth picture shows in a box, near the depth of the box's middle, as G2L-Net has them."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..contract.camera import Camera
from ..contract.parse import require
from .crop import Crop, WarpedFrame
from .geometry import Size

Depth = NDArray[Any]
"""A depth picture (h, w): mm from the camera's plane, 0 where nothing was measured."""

_NEAREST = 300.0
"""Points at this depth in mm or nearer are noise."""
_FEW, _FEWER = 1000, 500
"""With fewer points, the reach is doubled and tripled."""


@dataclass(frozen=True)
class FrustumFrame(WarpedFrame):
    """The whole px (left, top, right, bottom) of a box, the last ones excluded, and how far in mm its points may be."""

    cells: tuple[int, int, int, int] = (0, 0, 0, 0)
    reach: float = 0.0

    def points(self, depth: Depth, camera: Camera) -> NDArray[np.float32]:
        """The points (3, p), x, y and z in mm of the camera, p being at most the width of the canvas.

        Those within `reach` in depth of the point at the box's middle, or of the nearest one to it; of more than p
        points, p at equal steps, row by row, so that the same picture gives the same points.
        """
        left, top, right, bottom = self.cells
        z = depth[top:bottom, left:right].astype(np.float32)
        rows, columns = np.nonzero(z > 0)
        if not len(rows):
            return np.empty((3, 0), np.float32)
        aside, below = columns - (right - left) // 2, rows - (bottom - top) // 2
        seed = int((aside * aside + below * below).argmin())
        z = z[rows, columns]
        apart = np.where(z > _NEAREST, np.abs(z - z[seed]), np.inf)
        near = apart < self.reach
        if np.count_nonzero(near) < _FEW:
            near = apart < 2 * self.reach
            if np.count_nonzero(near) < _FEWER:
                near = apart < 3 * self.reach
        chosen = np.flatnonzero(near)
        most = self.canvas_size[1]
        if len(chosen) > most:
            chosen = chosen[np.arange(most) * len(chosen) // most]
        z = z[chosen]
        x = (columns[chosen] + left - camera.cx) / camera.fx * z
        y = (rows[chosen] + top - camera.cy) / camera.fy * z
        return np.stack((x, y, z)).astype(np.float32)


@dataclass(frozen=True)
class Frustum(Crop):
    """At most `size` = (1, points) of the points in a box, within `reach` mm in depth (G2L-Net: arXiv 2003.11089)."""

    reach: float = 100.0
    kind: Literal["crop", "zoom", "frustum"] = "frustum"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.size[0] == 1, "place.size", "1 and the number of points")
        require(0 < self.reach <= 1e6, "place.reach", "mm above 0")

    def of_box(self, box: NDArray[Any], image_size: Size) -> FrustumFrame:
        plain = super().of_box(box, image_size)
        x1, y1, x2, y2 = (float(value) for value in box)
        sides = [
            (max(0, int(start)), min(int(start) + int(end - start), length))
            for start, end, length in ((x1, x2, image_size[1]), (y1, y2, image_size[0]))
        ]
        (left, right), (top, bottom) = sides
        cells = (left, top, max(left, right), max(top, bottom))
        size = (max(1.0, x2 - x1), max(1.0, y2 - y1))
        return FrustumFrame(image_size, self.size, plain.centre, size, False, None, cells, self.reach)

    @property
    def label(self) -> str:
        return f"{self.size[1]} points"
