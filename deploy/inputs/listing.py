"""Which files, cameras and addresses a source stands for, and what results call them."""

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..system.errors import InputError
from .kinds import Kind, kind_of, kind_of_file
from .web import plain_address

STDIN = "-"


@dataclass(frozen=True)
class Item:
    """A file, camera or address: `path` opens it, results call it `name`."""

    path: str
    name: str
    kind: Kind | None = "picture"

    @property
    def is_video(self) -> bool:
        """Whether it has frames. An address may be a picture all the same, which only its answer tells."""
        return self.kind == "video"

    @property
    def is_live(self) -> bool:
        return is_live(self.path)

    @property
    def shown(self) -> str:
        """What messages call it, without secrets."""
        if "://" in self.path:
            return plain_address(self.path)
        return self.name if self.is_live or self.path == STDIN else self.path


@dataclass(frozen=True)
class Found:
    """The items of a source, and the files in it that are neither pictures nor videos."""

    items: list[Item]
    skipped: list[str]


def find_items(source: str, recursive: bool = False, kind: Callable[[Path], Kind | None] = kind_of_file) -> Found:
    """What a source stands for: files of a folder, with `recursive` of its subfolders too, or glob in natural order.

    Results call a file by its path relative to the source. What has no `kind` is skipped. InputError if there is none.
    """
    if is_live(source):
        name = f"camera{source}" if "://" not in source else plain_address(source)
        return Found([Item(source, name, "video")], [])
    if not source:
        raise InputError("a source is empty; give a file, a folder or an address")
    path = Path(source)
    if source == STDIN:
        return Found([Item(source, "stdin")], [])
    if path.is_file():
        return Found([Item(source, path.name, _kind(path, kind))], [])
    if path.is_dir():
        found = _sorted(path, _files_of(path, recursive), kind)
        if not found.items:
            raise InputError(f"{source}: no image or video in this folder; give another, or the files themselves")
        return found
    if glob.has_magic(source):
        # Path.glob takes no absolute pattern.
        files = [Path(name) for name in glob.glob(source, recursive=True) if Path(name).is_file()]  # noqa: PTH207
        found = _sorted(_root(path), _once(files), kind)
        if not found.items:
            raise InputError(f"{source}: no image or video matches; check the pattern")
        return found
    if path.exists():
        return Found([Item(source, path.name)], [])  # a pipe
    raise InputError(f"{source}: no such file or folder; check the path")


def told_apart(items: Sequence[Item]) -> list[Item]:
    """The same items, where those that would be called the same are called by their paths from the folder of all.

    Addresses are called by host and path instead.
    """
    count = Counter(name for _, name in {(item.path, item.name) for item in items})
    items = [
        replace(item, name=plain_address(item.path)) if count[item.name] > 1 and "://" in item.path else item
        for item in items
    ]
    alike = [item for item in items if count[item.name] > 1 and not item.is_live]
    if not alike:
        return items
    common = os.path.commonpath([Path(item.path).absolute().parent for item in alike])
    return [
        replace(item, name=Path(item.path).absolute().relative_to(common).as_posix()) if item in alike else item
        for item in items
    ]


def is_live(path: str) -> bool:
    """Whether it is a camera's number or an address."""
    return "://" in path or (re.fullmatch("[0-9]+", path) is not None and not Path(path).exists())


def _files_of(folder: Path, recursive: bool) -> list[Path]:
    try:
        every = folder.rglob("*") if recursive else folder.iterdir()
        files = [path for path in every if path.is_file() or (path.is_symlink() and not path.exists())]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read; {error.strerror}; check its permissions") from error
    return [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _once(files: Sequence[Path]) -> list[Path]:
    """The files without those that a link to a folder shows again, which may contain itself."""
    folders = {path.parent: path.parent.resolve() for path in files}
    by_place = {(folders[path.parent], path.name): path for path in sorted(files, key=lambda p: -len(p.parts))}
    return list(by_place.values())


def _sorted(root: Path, files: Sequence[Path], kind: Callable[[Path], Kind | None]) -> Found:
    found = Found([], [])
    for path in sorted(files, key=lambda path: natural(str(path))):
        name = path.relative_to(root).as_posix()
        if (own := _kind(path, kind)) is None:
            found.skipped.append(name)
        else:
            found.items.append(Item(str(path), name, own))
    return found


def _kind(path: Path, kind: Callable[[Path], Kind | None]) -> Kind | None:
    try:
        return kind(path)
    except OSError:
        return kind_of(b"", path.suffix)  # opening it says why it cannot be read


def _root(pattern: Path) -> Path:
    """The folder that all matches of a pattern lie in."""
    return next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))


def natural(name: str) -> list[str | int]:
    """A key that sorts img2 before img10; texts and numbers alternate."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split("([0-9]+)", name))]
