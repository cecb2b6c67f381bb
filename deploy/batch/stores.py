"""Files of object stores and disks, through the file systems of pyarrow that Ray's own readers use."""

import contextlib
from collections.abc import Generator
from typing import Any
from urllib.parse import quote

from ..inputs.kinds import Kind, kind_of
from ..inputs.listing import Found, Item, natural
from ..inputs.web import plain_address
from ..system.errors import InputError, UsageError
from .packages import package
from .shards import is_shard


def find_at(address: str, recursive: bool) -> Found:
    """The files at an address, a file or a folder, by their endings; as `find_items` for what lies on disks.

    Raises InputError if there is none, and UsageError if pyarrow has no file system for such addresses.
    """
    shown = plain_address(address)
    listed: list[Any] = []
    fs = package("pyarrow.fs")
    try:
        files, place = _file_system(address)
        there = files.get_file_info(place)
        if there.type == fs.FileType.File:
            name = there.base_name
            return Found([Item(address, name, _kind(name) or "picture")], [])
        if there.type == fs.FileType.Directory:
            listed = files.get_file_info(fs.FileSelector(place, recursive=recursive))
    except OSError as error:
        raise InputError(f"{shown}: cannot be read; {_reason(error)}; check the address and its credentials") from error
    root = len(place.rstrip("/")) + 1
    names = [info.path[root:] for info in listed if info.type == fs.FileType.File]
    found = Found([], [])
    for name in sorted(names, key=natural):
        if any(part.startswith(".") for part in name.split("/")):
            continue
        if (kind := _kind(name)) is None:
            found.skipped.append(name)
        else:
            found.items.append(Item(_below(address, name), name, kind))
    if not found.items:
        raise InputError(f"{shown}: no image, video, .parquet or .tar file there; check the address")
    return found


@contextlib.contextmanager
def opened(item: Item) -> Generator[Any]:
    """The file of an item, as bytes to read. Raises InputError if it cannot be read."""
    try:
        files, place = _file_system(item.path)
        with files.open_input_file(place) as file:
            yield file
    except OSError as error:
        raise InputError(f"{item.shown}: cannot be read; {_reason(error)}; check that it is there") from error


def _file_system(path: str) -> tuple[Any, str]:
    """The file system of an address or absolute path, and the place in it."""
    try:
        return package("pyarrow.fs").FileSystem.from_uri(path)
    except (ValueError, NotImplementedError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise UsageError(
            f"{plain_address(path)}: workers cannot read it; {_reason(error)}; "
            "--ray is for files and for object stores such as s3://, gs:// and abfs://"
        ) from error


def _below(folder: str, name: str) -> str:
    """The address of a file in a folder; what follows a question mark are settings of the store."""
    path, mark, settings = folder.partition("?")
    return f"{path.rstrip('/')}/{quote(name)}{mark}{settings}"


def _kind(name: str) -> Kind | None:
    if is_shard(name):
        return "shard"
    _, dot, ending = name.rpartition(".")
    return kind_of(b"", dot + ending)


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
