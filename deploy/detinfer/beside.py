"""Files that belong to pictures: their names say to which."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..inputs.listing import find_items
from ..inputs.sources import Picture
from ..system.errors import InputError


class FilesBeside:
    """The files of a flag: one file for all pictures, or a folder with a file of each picture's name.

    A name with another suffix will do where no other file of the folder has it. `what` is what a picture lacks without
    one, such as a partner. Raises InputError if there is none.
    """

    def __init__(self, path: Path, flag: str, what: str, *, recursive: bool = False) -> None:
        self._path, self._flag, self._what = path, flag, what
        items = [] if path.is_file() else find_items(str(path), recursive).items
        self._names = {item.name: Path(item.path) for item in items if not item.is_video}
        self._stems: dict[Path, list[Path]] = {}
        for name, file in self._names.items():
            self._stems.setdefault(Path(name).with_suffix(""), []).append(file)

    def of(self, picture: Picture) -> Path:
        """The file of a picture. Raises InputError if it is missing."""
        if picture.is_frame:
            raise InputError(f"a frame of a video; {self._flag} is for pictures; give the frames as files")
        if self._path.is_file():
            return self._path
        if picture.name in self._names:
            return self._names[picture.name]
        others = self._stems.get(Path(picture.name).with_suffix(""), [])
        if len(others) == 1:
            return others[0]
        why = f"several files there have its name, such as {others[0].name}" if others else "no file there has its name"
        raise InputError(f"has no {self._what} in {self._path}; {why}; name both alike")


def sizes(*pictures: NDArray[Any]) -> str:
    """The widths and heights of pictures, such as "320x240 and 319x240 px"."""
    return " and ".join(f"{one.shape[1]}x{one.shape[0]}" for one in pictures) + " px"
