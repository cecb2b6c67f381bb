"""The other picture of each pair, for networks that compare two."""

from pathlib import Path

from ..inputs.geometry import Image
from ..inputs.image import read_image
from ..inputs.listing import find_items
from ..inputs.sources import Picture
from ..pipelines.pipeline import Pipeline
from ..results.instances import Instances
from ..system.errors import InputError, UsageError


class Partners:
    """The pictures of --against: one file for all pictures, or a folder with a file of each picture's name.

    A name with another suffix will do where no other file of the folder has it. Raises InputError if there is none.
    """

    def __init__(self, path: Path, *, recursive: bool = False) -> None:
        self._path = path
        items = [] if path.is_file() else find_items(str(path), recursive).items
        self._names = {item.name: Path(item.path) for item in items if not item.is_video}
        self._stems: dict[Path, list[Path]] = {}
        for name, file in self._names.items():
            self._stems.setdefault(Path(name).with_suffix(""), []).append(file)

    def look(self, model: Pipeline, pictures: list[Picture]) -> list[Instances]:
        """What has changed between each picture and its partner."""
        return model([picture.image for picture in pictures], against=[self.of(picture) for picture in pictures])

    def of(self, picture: Picture) -> Image:
        """The partner of a picture. Raises InputError if it is missing or has another size."""
        if picture.is_frame:
            raise InputError("a frame of a video; --against compares pictures; give the frames as files")
        file = self._file(picture.name)
        image = read_image(file)
        if image.shape != picture.image.shape:
            sizes = " and ".join(f"{one.shape[1]}x{one.shape[0]}" for one in (picture.image, image))
            raise InputError(f"compared with {file}, but they have {sizes} px; give pairs of one size")
        return image

    def _file(self, name: str) -> Path:
        if self._path.is_file():
            return self._path
        if name in self._names:
            return self._names[name]
        others = self._stems.get(Path(name).with_suffix(""), [])
        if len(others) == 1:
            return others[0]
        why = f"several files there have its name, such as {others[0].name}" if others else "no file there has its name"
        raise InputError(f"has no partner in {self._path}; {why}; name the pictures of a pair alike")


def partners_for(model: Pipeline, against: Path | None, *, recursive: bool) -> Partners | None:
    """The pictures of --against for a model that compares pairs. Raises UsageError if only one of both is given."""
    compares = model.card.form.runs_on == "pairs"
    if compares and against is None:
        raise UsageError(f"{model.card.model} compares two pictures; give the later one, or a folder, with --against")
    if against is None:
        return None
    if not compares:
        raise UsageError(f"--against is for networks that compare two pictures, {model.card.model} takes one; omit it")
    return Partners(against, recursive=recursive)
