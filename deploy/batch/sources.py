"""What workers read: files, files in object stores, and pictures inside Parquet and .tar files."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..inputs.image import decode_pages
from ..inputs.kinds import Kind, kind_of_file
from ..inputs.listing import STDIN, Found, Item, find_items, is_live
from ..inputs.sources import Picture, numbered, open_item
from ..system.errors import InputError, UsageError
from .shards import files_in, is_shard
from .stores import find_at, opened


def find_sources(source: str, recursive: bool) -> Found:
    """As `find_items`, with addresses of object stores, and with files that hold pictures inside.

    Raises InputError if there is nothing, and UsageError for what workers cannot read.
    """
    if "://" in source:
        return find_at(source, recursive)
    if source == STDIN or is_live(source):
        raise UsageError(f"{source}: workers cannot read it; --ray is for files and for object stores")
    return find_items(source, recursive, _kind)


def open_source(item: Item) -> Iterator[tuple[str, Picture | InputError]]:
    """The name of every picture of an item with the picture, or why there is none."""
    try:
        if item.kind == "shard":
            with opened(item) as file:
                for name, data in files_in(file, item.shown):
                    yield from _decoded(Item(f"{item.shown}/{name}", f"{item.name}/{name}"), data)
        elif "://" in item.path and not item.is_video:
            with opened(item) as file:
                yield from _decoded(item, file.read())
        else:
            for picture in open_item(item) if "://" not in item.path else _video(item):
                yield item.name, picture
    except InputError as error:
        yield item.name, error


def _decoded(item: Item, data: bytes) -> Iterator[tuple[str, Picture | InputError]]:
    try:
        for picture in numbered(item, decode_pages(data, item.shown)):
            yield item.name, picture
    except InputError as error:
        yield item.name, error


def _video(item: Item) -> Iterator[Picture]:
    """The frames of a video in an object store, which decoders take from a file alone."""
    with tempfile.NamedTemporaryFile() as copy, opened(item) as file:
        shutil.copyfileobj(file, copy)
        copy.flush()
        try:
            yield from open_item(Item(copy.name, item.name, "video"))
        except InputError as error:
            raise InputError(str(error).replace(copy.name, item.shown)) from error


def _kind(path: Path) -> Kind | None:
    return "shard" if is_shard(path.name) else kind_of_file(path)
