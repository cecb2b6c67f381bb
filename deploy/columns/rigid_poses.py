"""The column of poses of rigid objects in space."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ..contract.camera import Camera
from ..contract.solid import Solid
from .column import Column
from .palette import color_of
from .transform import Transform

_EDGES = [(i, i | bit) for i in range(8) for bit in (1, 2, 4) if not i & bit]
_AXES = ((0, 0, 255), (0, 255, 0), (255, 0, 0))  # BGR of x, y and z
_NEAREST = 1e-3  # of the object's depth; edges are cut there, before the camera


@dataclass(frozen=True, eq=False)
class RigidPoses(Column):
    """Poses (n, 3, 4) float64: [R | t] maps coordinates of the `solid` to those of the `camera`, both in its unit.

    The camera's x points right, its y down and its z away from it. A pose that could not be found is NaN.
    """

    camera: Camera
    solid: Solid
    name: ClassVar[str] = "rigid_poses"

    def mapped(self, transform: Transform) -> Self:
        return replace(self, camera=self.camera.moved(transform.scale, transform.shift))

    def bounds(self) -> NDArray[np.float32]:
        """The boxes around the projected box of the object; empty where there is no pose."""
        ends = [self.camera.project(self._placed(row, self.solid.corners)) for row in range(len(self))]
        corners = np.nan_to_num(np.array(ends).reshape(-1, 8, 2))
        return np.concatenate((corners.min(1), corners.max(1)), 1).astype(np.float32)

    def distances(self, other: Any) -> NDArray[np.float32]:
        """The distances (n, 8) in px between the corners of the object's projected box; 0 where both have no pose."""
        ours, theirs = (
            np.array([one.camera.project(one._placed(row, one.solid.corners)) for row in range(len(one))])
            for one in (self, other)
        )
        apart = np.abs(ours - theirs).reshape(-1, 8, 2).max(2)
        lacking = [np.isnan(one.values).reshape(len(one), -1).any(1) for one in (self, other)]
        apart[lacking[0] & lacking[1]] = 0
        return apart.astype(np.float32)

    def records(self) -> list[dict[str, Any]]:
        """`rotation`, three rows of three, `translation` [x, y, z] and its `unit`; null where there is no pose."""
        rows = self.values.round(6).tolist()
        missing = [bool(np.isnan(pose).any()) for pose in self.values]
        return [
            {
                "rotation": None if lacks else [row[:3] for row in pose],
                "translation": None if lacks else [row[3] for row in pose],
                "unit": self.solid.unit,
            }
            for pose, lacks in zip(rows, missing, strict=True)
        ]

    def texts(self, image_size: tuple[int, int]) -> list[str]:
        """The nine numbers of the rotation, row by row, and the translation."""
        rows = [[*pose[:, :3].ravel().tolist(), *pose[:, 3].tolist()] for pose in self.values]
        return ["".join(f" {value:.6f}" for value in row) for row in rows]

    def notes(self) -> list[str]:
        """The translation."""
        unit = self.solid.unit
        rows = [pose[:, 3].tolist() for pose in self.values]
        return [
            "  no pose" if np.isnan(row).any() else f"  at {' '.join(f'{value:.4g}' for value in row)} {unit}"
            for row in rows
        ]

    def paint(self, canvas: NDArray[np.uint8], row: int, line: int) -> None:
        """The object's box and its axes: x red, y green, z blue."""
        corners, color = self.solid.corners, color_of(row)
        for start, end in _EDGES:
            self._draw(canvas, row, corners[[start, end]], color, line)
        reach = (corners[7] - corners[0]).max() / 2
        for axis, own in enumerate(_AXES):
            self._draw(canvas, row, np.stack((np.zeros(3), reach * np.eye(3)[axis])), own, line + 1)

    def _placed(self, row: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 3) of the object in the camera's coordinates."""
        return points @ self.values[row][:, :3].T + self.values[row][:, 3]

    def _draw(
        self, canvas: NDArray[np.uint8], row: int, ends: NDArray[np.float64], color: tuple[int, int, int], line: int
    ) -> None:
        """Draw a line between two points (2, 3) of the object, as far as it is before the camera."""
        start, end = self._placed(row, ends)
        near = _NEAREST * float(self.values[row][2, 3])
        if not (np.isfinite((start, end)).all() and near > 0 and max(start[2], end[2]) > near):
            return
        start, end = (
            one if one[2] > near else one + (other - one) * (near - one[2]) / (other[2] - one[2])
            for one, other in ((start, end), (end, start))
        )
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            px = np.nan_to_num(self.camera.project(np.stack((start, end))))
        # OpenCV takes 32-bit coordinates only, here in 1/16 px.
        places = np.clip(np.rint(px * 16), -1e7, 1e7).astype(int).tolist()
        cv2.line(canvas, places[0], places[1], color, line, cv2.LINE_AA, 4)
