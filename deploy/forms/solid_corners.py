"""Corners of an object's box in space, and its pose (G2L-Net: Chen et al., arXiv 2003.11089)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..contract.parse import require
from ..contract.port import Arrays
from ..contract.solid import Solid
from ..inputs.crop import WarpedFrame
from ..inputs.geometry import Place
from .form import Contract, Output, Reading
from .pnp import Pose
from .solid_crops import SolidCrops

_ORDER = [1, 3, 2, 0, 4, 5, 6, 7]
"""The corners of a Solid in the authors' order."""
_LINALG: Any = np.linalg  # some of its functions have no complete types


@dataclass(frozen=True)
class SolidCorners(SolidCrops):
    """`centre` (n, 3), the object's origin, and `corners` (n, 24) of its box around it, both in mm of the camera.

    The corners give a rotation (Kabsch, Acta Cryst. A32, 1976); those of the turned object and the `residual` (n, 24)
    give the final one (section 3.3). `count` (n, 1) is the number of the object's points. With fewer than `least`
    there is no pose, and the quality is 0 instead of 1.
    """

    least: int = 10
    kind: Literal["solid_corners"] = "solid_corners"

    place: ClassVar[Place] = "frustum"
    takes_depth: ClassVar[bool] = True
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("count", unit="range"),
        Output("centre", unit="range"),
        Output("corners", unit="range"),
        Output("residual", unit="range"),
    )

    def __post_init__(self) -> None:
        require(1 <= self.least <= 1_000_000, "form.least", "1..1000000")

    def read(self, outputs: Arrays, mirrored: Arrays | None, frames: Sequence[WarpedFrame], card: Contract) -> Reading:
        """The pose of the object in each box."""
        solid = self.known()
        rows = zip(outputs["count"], outputs["centre"], outputs["corners"], outputs["residual"], strict=True)
        poses = [
            pose_of(solid, centre, corners, residual) if count >= self.least else np.full((3, 4), np.nan)
            for count, centre, corners, residual in rows
        ]
        return self.reading(poses, frames[0].camera)


def pose_of(solid: Solid, centre: NDArray[Any], corners: NDArray[Any], residual: NDArray[Any]) -> Pose:
    """The pose in the solid's unit; NaN where an output is not finite."""
    own = solid.corners[_ORDER] * solid.millimetres
    if not all(np.isfinite(part).all() for part in (centre, corners, residual)):
        return np.full((3, 4), np.nan)
    first = rotation_between(own, corners.reshape(8, 3))
    final = rotation_between(own, own @ first.T + residual.reshape(8, 3))
    return np.concatenate((final, centre.astype(np.float64)[:, None] / solid.millimetres), 1)


def rotation_between(points: NDArray[Any], turned: NDArray[Any]) -> NDArray[np.float64]:
    """The rotation (3, 3) that moves points (n, 3) nearest to `turned` (n, 3), both about their means.

    Where a mirror image is nearer than every rotation, it is the authors' rotation, which is not the nearest one.
    """
    ours, theirs = (np.asarray(side, np.float64) - np.mean(side, 0, np.float64) for side in (points, turned))
    u, _, vt = _LINALG.svd(ours.T @ theirs)
    if _LINALG.det(u @ vt) < 0:
        vt[:, 2] *= -1  # The nearest rotation has its last row negated instead.
    return vt.T @ u.T
