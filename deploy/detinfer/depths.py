"""The depth picture of each picture, for networks that look at points in space."""

from pathlib import Path

from ..inputs.frustum import Depth
from ..inputs.image import read_depth
from ..inputs.sources import Picture
from ..pipelines.pipeline import Pipeline
from ..system.errors import InputError, UsageError
from .beside import FilesBeside, sizes
from .cameras import Cameras


class Depths:
    """The depth pictures of --depth, in the unit of their cameras."""

    def __init__(self, files: FilesBeside, cameras: Cameras) -> None:
        self._files, self._cameras = files, cameras

    def of(self, picture: Picture) -> Depth:
        """The depth in mm of a picture's px. Raises InputError if it is missing, none or of another size."""
        file = self._files.of(picture)
        depth = read_depth(file)
        if depth.shape != picture.image.shape[:2]:
            raise InputError(
                f"its depth is {file}, but they have {sizes(picture.image, depth)}; give depth of the picture's px"
            )
        return depth * self._cameras.depth_scale(picture)


def depths_for(model: Pipeline, path: Path | None, cameras: Cameras | None, *, recursive: bool) -> Depths | None:
    """The depth of --depth for a model that looks at points in space. Raises UsageError if one of both is missing."""
    name = model.last_card.model
    if path is None:
        if model.takes_depth:
            raise UsageError(f"{name} looks at points in space; give a depth picture, or a folder, with --depth")
        return None
    if not model.takes_depth or cameras is None:
        raise UsageError(f"--depth is for networks that look at points in space, which {name} does not; leave it out")
    return Depths(FilesBeside(path, "--depth", "depth picture", recursive=recursive), cameras)
