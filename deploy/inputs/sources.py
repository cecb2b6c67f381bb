"""Where pictures come from: files, folders, globs, videos, cameras, urls and stdin, one picture at a time."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ..system.errors import InputError
from .geometry import Image
from .image import Size, decode_pages, read_pages, read_reduced
from .kinds import HEAD, format_of
from .listing import STDIN, Item, find_items
from .video import frames
from .web import picture_at

_USUAL_FPS = 25.0


@dataclass(frozen=True, eq=False)
class Picture:
    """An image of a source; a frame of a video or camera, or a page of an image file, has an `index`.

    Results call it `name`; `path` is where it was read, without secrets. What `is_frame` comes `fps` times a second,
    taken as 25 where that is unknown. `full_size` is that of the file where the image was decoded to fewer pixels.
    """

    name: str
    image: Image
    index: int | None = None
    fps: float = _USUAL_FPS
    full_size: Size | None = None
    path: str = ""
    is_frame: bool = False


def pictures(source: str) -> Iterator[Picture]:
    """Every picture of a source, read when it is asked for; InputError when one is missing or broken."""
    for item in find_items(source).items:
        yield from open_item(item)


def open_each(
    items: Iterable[Item], report: Callable[[InputError], object], needed: Callable[[Size], Size] | None = None
) -> Iterator[Picture]:
    """Every picture of the items that can be read; what cannot is reported, and the next one follows."""
    for item in items:
        try:
            yield from open_item(item, needed)
        except InputError as error:
            report(error)


def open_item(item: Item, needed: Callable[[Size], Size] | None = None) -> Iterator[Picture]:
    """The pictures of an item; InputError when it cannot be read, or not to its announced end.

    With `needed` a JPEG file is read as by `read_reduced`.
    """
    if item.path == STDIN:
        yield from numbered(item, decode_pages(sys.stdin.buffer.read(), item.shown))
    elif item.is_live and (data := picture_at(item.path)) is not None:
        yield from numbered(item, decode_pages(data, item.shown))
    elif item.is_video:
        for index, (image, fps) in enumerate(frames(item)):
            yield Picture(item.name, image, index, fps or _USUAL_FPS, path=item.shown, is_frame=True)
    elif needed is not None and _is_jpeg(item.path):
        image, size = read_reduced(item.path, needed)
        yield Picture(item.name, image, full_size=size, path=item.shown)
    else:
        yield from numbered(item, read_pages(item.path))


def numbered(item: Item, pages: Iterator[Image]) -> Iterator[Picture]:
    """The pages of one image file, numbered where there are several."""
    first, second = next(pages), next(pages, None)
    if second is None:
        yield Picture(item.name, first, path=item.shown)
        return
    for index, image in enumerate(chain((first, second), pages)):
        yield Picture(item.name, image, index, path=item.shown)


def _is_jpeg(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return format_of(file.read(HEAD)) == "JPEG"
    except OSError:
        return False  # reading it says why
