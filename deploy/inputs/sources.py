"""Where pictures come from: files, folders, globs, videos, cameras, urls and stdin, one picture at a time."""

import glob
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..system.errors import InputError
from .geometry import Image
from .image import Size, decode_image, read_image, read_reduced

_IMAGE = re.compile(r"\.(jpe?g|jpe|png|webp|bmp|dib|gif|tiff?|avif|jp2|p[pgbn]m|pam|pfm|ras|sr|hdr)", re.IGNORECASE)
_VIDEO = re.compile(r"\.(mp4|m4v|mov|avi|mkv|webm|mpe?g|ts|m2ts|wmv|flv|ogv|3gp)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Picture:
    """An image of a source, or a frame of a video or camera, which has an `index` and a rate.

    `full_size` is that of the file where the image was decoded to fewer pixels.
    """

    name: str
    image: Image
    index: int | None = None
    fps: float = 0.0
    full_size: Size | None = None


def pictures(source: str) -> Iterator[Picture]:
    """Every picture of a source, read when it is asked for; InputError when one is missing or broken."""
    for item in items(source):
        yield from open_item(item)


def items(source: str) -> list[str]:
    """The images, videos, cameras and urls that a source stands for.

    The files of a folder or glob come in natural order; InputError when there are none.
    """
    if is_live(source) or source == "-" or Path(source).is_file():
        return [source]
    if Path(source).is_dir():
        files = _files_of(source)
        if not files:
            raise InputError(f"{source}: no image or video in this folder; give another, or the files themselves")
    elif glob.has_magic(source):
        # Path.glob takes no absolute pattern.
        files = [Path(name) for name in glob.glob(source, recursive=True) if Path(name).is_file()]  # noqa: PTH207
        if not files:
            raise InputError(f"{source}: no file matches; check the pattern")
    elif Path(source).exists():
        return [source]  # a pipe
    else:
        raise InputError(f"{source}: no such file or folder; check the path")
    return sorted(map(str, files), key=_natural)


def open_item(item: str, needed: Callable[[Size], Size] | None = None) -> Iterator[Picture]:
    """The pictures of one of `items`; InputError when it cannot be read, or not to its announced end.

    With `needed` a file is read as by `read_reduced`.
    """
    if item == "-":
        yield Picture("stdin", decode_image(sys.stdin.buffer.read(), "stdin"))
    elif is_video(item):
        yield from _video(item)
    elif needed is not None:
        image, size = read_reduced(item, needed)
        yield Picture(item, image, full_size=size)
    else:
        yield Picture(item, read_image(item))


def is_live(item: str) -> bool:
    """Whether an item is a camera or a url."""
    return "://" in item or (re.fullmatch("[0-9]+", item) is not None and not Path(item).exists())


def is_video(item: str) -> bool:
    """Whether an item has frames: a camera, a url, a file by its suffix, else by whether it is an image."""
    if is_live(item) or _VIDEO.fullmatch(Path(item).suffix):
        return True
    if _IMAGE.fullmatch(Path(item).suffix) or not Path(item).is_file():
        return False
    return not cv2.haveImageReader(item)


def _files_of(folder: str) -> list[Path]:
    try:
        files = [path for path in Path(folder).iterdir() if path.is_file() and not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read; {error.strerror}; check its permissions") from error
    return [path for path in files if _IMAGE.fullmatch(path.suffix) or _VIDEO.fullmatch(path.suffix)]


def _video(item: str) -> Iterator[Picture]:
    live = is_live(item)
    capture = cv2.VideoCapture(int(item)) if live and item.isdigit() else cv2.VideoCapture(item)
    try:
        if not capture.isOpened():
            if live:
                raise InputError(f"{item}: this camera or stream does not answer; check the number or address")
            raise InputError(f"{item}: not an image or video, or a truncated one; open it in a viewer")
        fps = _finite(capture.get(cv2.CAP_PROP_FPS))
        length = _finite(capture.get(cv2.CAP_PROP_FRAME_COUNT)) / fps if fps else 0.0
        index, seen = 0, 0.0
        while True:
            read, image = capture.read()
            if not read:
                break
            seen = capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            yield Picture(item, image.astype(np.uint8, copy=False), index, fps)
            index += 1
    finally:
        capture.release()
    # Time and not the number of frames, which is an estimate where their rate varies. `seen` is when the last
    # frame began; one more frame and 2 % are allowed for containers that round.
    if not index or (not live and seen + 2 / max(fps, 1.0) < 0.98 * length):
        raise InputError(f"{item}: the video ends after {index} frames, {seen:.1f} s of {length:.1f} s; copy it again")


def _natural(name: str) -> list[str | int]:
    """A key that sorts img2 before img10; texts and numbers alternate."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split("([0-9]+)", name))]


def _finite(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0
