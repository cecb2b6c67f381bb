"""What forms that find a rigid object in the boxes of a detector share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..columns.column import Column
from ..columns.rigid_poses import RigidPoses
from ..contract.camera import Camera
from ..contract.solid import Solid
from ..system.errors import IncompatibleError
from .form import Contract, CropForm, Reading
from .pnp import Pose

_NOWHERE = Camera(1.0, 1.0, 0.0, 0.0)
"""The camera of no poses."""


@dataclass(frozen=True)
class SolidCrops(CropForm):
    """A pose of `solid` in each box. The quality is 1, or 0 where there is no pose."""

    solid: Solid | None = None

    task: ClassVar[str] = "6-D pose"
    takes_camera: ClassVar[bool] = True
    one_size: ClassVar[bool] = True

    def known(self) -> Solid:
        """The solid. Raises IncompatibleError if the Card has none."""
        if self.solid is None:
            raise IncompatibleError("its Card has no object; export it again with detexport --solid FILE")
        return self.solid

    def reading(self, poses: Sequence[Pose], camera: Camera | None) -> Reading:
        """What is read of the boxes: their poses, which are NaN where there is none."""
        quality = np.array([np.isfinite(pose).all() for pose in poses], np.float32)
        return Reading((RigidPoses(np.array(poses), camera or _NOWHERE, self.known()),), quality)

    def nothing(self, card: Contract) -> tuple[Column, ...]:
        return () if self.solid is None else (RigidPoses(np.empty((0, 3, 4)), _NOWHERE, self.solid),)
