"""The poses of rigid objects as the BOP benchmark's CSV."""

import re
from pathlib import Path

import numpy as np

from ..columns.rigid_poses import RigidPoses
from ..inputs.sources import Picture
from ..results.instances import Instances
from ..system.errors import InputError, UsageError
from ..system.files import write_text

HEADER = "scene_id,im_id,obj_id,score,R,t,time"


class BopResults:
    """Collects poses as rows of scene, image and object numbers, score, R row by row, t in mm and seconds.

    The image's number is its file's name, and the scene's that of the nearest folder above with a number, else 0. The
    object's number is the last in its label, or else the label's place from 1 on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[str] = []

    def add(self, picture: Picture, found: Instances) -> None:
        """Add the poses in a picture. Raises InputError if its name is no number, UsageError if there are no poses."""
        column = found.columns.get("rigid_poses")
        if not isinstance(column, RigidPoses):
            raise UsageError("--save-bop is for networks that find poses in space; leave it out")
        path = Path(picture.path or picture.name)
        image = str(picture.index) if picture.index is not None else path.stem
        if not re.fullmatch("[0-9]{1,18}", image):
            raise InputError(f"{picture.name}: BOP's results number the pictures; give it a number as its name")
        scene = next((folder.name for folder in path.absolute().parents if re.fullmatch("[0-9]+", folder.name)), "0")
        seconds = sum(found.timing.values()) / 1e3
        for pose, label, score in zip(column.values, found.labels.tolist(), found.scores.tolist(), strict=True):
            if np.isnan(pose).any():
                continue
            number = (re.findall("[0-9]+", found.names[int(label)]) or [label + 1])[-1]
            turn = " ".join(f"{value:.9g}" for value in pose[:, :3].ravel().tolist())
            move = " ".join(f"{value * column.solid.millimetres:.9g}" for value in pose[:, 3].tolist())
            ids = ",".join(str(int(value)) for value in (scene, image, number))
            self._rows.append(f"{ids},{score:.6g},{turn},{move},{seconds:.6g}")

    def write(self) -> None:
        """Write what was collected to the file."""
        write_text(self._path, "\n".join([HEADER, *self._rows]) + "\n")
