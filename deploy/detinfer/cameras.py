"""Cameras from JSON files, in the usual forms and those of the BOP benchmark."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..contract.camera import LARGEST, Camera
from ..contract.parse import FieldError, parse, require
from ..inputs.sources import Picture
from ..pipelines.pipeline import Pipeline
from ..system.errors import InputError, UsageError
from ..system.files import read_json

_MATRICES = ("K", "cam_K", "camera_matrix")
_FORMS = "give fx, fy, cx and cy, a 3x3 matrix K, or BOP's camera.json or scene_camera.json"


@dataclass(frozen=True)
class Entry:
    """A camera, and the mm that one unit of its depth pictures stands for."""

    camera: Camera
    depth_scale: float


@dataclass(frozen=True)
class Cameras:
    """The camera of all pictures, or of each by the number that is its name."""

    path: Path
    one: Entry | None
    each: dict[int, Entry]

    def of(self, picture: Picture) -> Camera:
        """The camera of a picture. Raises InputError if the file has none."""
        return self._entry(picture).camera

    def depth_scale(self, picture: Picture) -> float:
        """The mm of one unit of a picture's depth. Raises InputError if the file has no camera of it."""
        return self._entry(picture).depth_scale

    def _entry(self, picture: Picture) -> Entry:
        if self.one is not None:
            return self.one
        stem = Path(picture.name).stem
        entry = self.each.get(int(stem)) if re.fullmatch("[0-9]{1,18}", stem) else None
        if entry is None:
            raise InputError(f"{self.path}: has no camera of this picture; its cameras have numbers, as {stem} should")
        return entry


def read_cameras(path: Path) -> Cameras:
    """The camera of a JSON file: {"fx", "fy", "cx", "cy"} px, {"K": matrix}, or a matrix; BOP's camera.json has these.

    BOP's scene_camera.json has a matrix "cam_K" for the number of each picture, and both of BOP's files may have a
    "depth_scale". Lens distortion is not corrected.
    Raises InputError for what is no such file.
    """
    value = read_json(path, _FORMS)
    if (
        isinstance(value, dict)
        and value
        and all(re.fullmatch("[0-9]{1,18}", key) for key in cast(dict[str, Any], value))
    ):
        entries = cast(dict[str, Any], value)
        return Cameras(path, None, {int(key): _entry(path, one, f"{key}: ") for key, one in entries.items()})
    return Cameras(path, _entry(path, value, ""), {})


def cameras_for(model: Pipeline, path: Path | None) -> Cameras | None:
    """The cameras of --camera for a model that finds poses in space. Raises UsageError if only one of both is given."""
    name = model.last_card.model
    if path is None:
        if model.takes_camera:
            raise UsageError(f"{name} finds poses in space; give the camera with --camera FILE")
        return None
    if not model.takes_camera:
        raise UsageError(f"--camera is for networks that find poses in space, which {name} does not; leave it out")
    return read_cameras(path)


def _entry(path: Path, value: Any, where: str) -> Entry:
    try:
        if isinstance(value, list):
            return Entry(Camera.of(value), 1.0)
        entries = cast(dict[str, Any], value) if isinstance(value, dict) else {}
        scale = parse(float, entries.get("depth_scale", 1.0), "depth_scale")
        require(0 < scale <= LARGEST, "depth_scale", "mm, above 0")
        for name in _MATRICES:
            if name in entries:
                return Entry(Camera.of(entries[name]), scale)
        plain = Camera.of([[entries["fx"], 0, entries["cx"]], [0, entries["fy"], entries["cy"]], [0, 0, 1]])
        return Entry(plain, scale)
    except KeyError as error:
        raise InputError(f"{path}: {where}no camera, {error.args[0]} is missing; {_FORMS}") from None
    except FieldError as error:
        raise InputError(f"{path}: {where}{error}; {_FORMS}") from None
