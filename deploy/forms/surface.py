"""Coordinates of an object's surface in a crop, and its pose (CDPN: Li et al., ICCV 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..contract.camera import Camera
from ..contract.parse import require
from ..contract.port import Arrays
from ..contract.solid import Solid
from ..inputs.crop import WarpedFrame
from ..inputs.geometry import Place
from ..inputs.zoom import ZoomedFrame
from .form import Contract, Output, Reading
from .pnp import Pose, solve_pnp_ransac
from .solid_crops import SolidCrops

_ORIGIN = 1e-3  # of the object's extent; points as near to its origin on all axes are background


@dataclass(frozen=True)
class Surface(SolidCrops):
    """`surface` (n, 4, h, w), coordinates of the object divided by -`solid.low` and a confidence, and `translation`.

    Pixels whose confidence, scaled to 0..1 over the crop, is at least `least` show the object. RANSAC finds the
    rotation from their coordinates (section 3.2). `translation` (n, 3) is dx and dy from the middle of the crop to the
    object's origin, in widths and heights of the box, and its distance times the crop's side over the map's (equation
    3). The quality is 1, or 0 where no rotation is found. An image without a `camera` gives no poses.
    """

    least: float = 0.5
    kind: Literal["surface"] = "surface"

    place: ClassVar[Place] = "zoom"
    outputs: ClassVar[tuple[Output, ...]] = (Output("surface"), Output("translation"))

    def __post_init__(self) -> None:
        require(0 < self.least < 1, "form.least", "0..1")
        require(self.solid is None or max(self.solid.low) < 0, "form.solid.low", "coordinates below 0")

    def read(self, outputs: Arrays, mirrored: Arrays | None, frames: Sequence[WarpedFrame], card: Contract) -> Reading:
        """The pose of the object in each crop."""
        if frames[0].camera is None:
            return Reading((), np.ones(len(frames), np.float32))
        solid = self.known()
        poses = [
            pose_of(surface, move, frame, solid, frame.camera, self.least)
            for surface, move, frame in zip(outputs["surface"], outputs["translation"], frames, strict=True)
            if frame.camera is not None and isinstance(frame, ZoomedFrame)
        ]
        return self.reading(poses, frames[0].camera)


def pose_of(
    surface: NDArray[Any], move: NDArray[Any], frame: ZoomedFrame, solid: Solid, camera: Camera, least: float
) -> Pose:
    """The rotation by the `surface` (4, h, w) and the translation `move` (3,); NaN without a pose before the camera."""
    extent = -np.array(solid.low)
    points = surface[:3].astype(np.float64) * extent[:, None, None]
    certainty = surface[3] - surface[3].min()
    certainty = certainty / max(float(certainty.max()), 1e-12)
    rows, columns = np.nonzero((certainty >= least) & ~(np.abs(points) < _ORIGIN * extent[:, None, None]).all(0))
    side, cells = frame.size[0], surface.shape[2]
    # As in training: whole px, and cells from their corners, though the crop was resized by their centres.
    start = np.trunc(frame.centre) - side / 2
    px = np.stack((columns, rows), 1) * (side / cells) + start
    pose = solve_pnp_ransac(points[:, rows, columns].T, px, camera)
    x, y, depth = move.astype(np.float64).tolist()
    depth *= cells / side
    if pose is None or not depth > 0:
        return np.full((3, 4), np.nan)
    width, height = frame.box
    place = np.array([frame.centre[0] + x * width - camera.cx, frame.centre[1] + y * height - camera.cy])
    moved = np.array([*(place / (camera.fx, camera.fy) * depth), depth])
    return np.concatenate((pose[:, :3], moved[:, None]), 1)
