"""Image files to pixels and back."""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..system.errors import DetforgeError, InputError
from ..system.files import replacing
from .geometry import Image

Size = tuple[int, int]
"""Height and width in px."""

_HEADERS = 1 << 18
"""So many bytes may come before what a camera says of a picture."""
_TURNED = re.compile(
    rb"II\*\x00.*?\x12\x01..\x01\x00\x00\x00(?!\x01\x00)|MM\x00\*.*?\x01\x12..\x00\x00\x00\x01(?!\x00\x01)", re.DOTALL
)
"""EXIF's entry for the orientation, little or big endian, with another value than 1."""
_MOST_PIXELS = 1 << 30
"""As OpenCV has it."""


def read_image(path: str | Path) -> Image:
    """An image file as (h, w, 3) uint8 BGR, upright; InputError when it is missing, truncated or no image."""
    return decode_image(_bytes(path), str(path))


def decode_image(data: bytes, name: str) -> Image:
    """The bytes of an image file as (h, w, 3) uint8 BGR, upright; InputError naming it `name`.

    Grey, alpha and 16 bit become 8-bit BGR and EXIF rotation is applied, all as `cv2.imread` does. That one
    fills what a truncated JPEG lacks with grey; `cv2.imdecode` refuses truncated files of every format.
    """
    if not data:
        raise InputError(f"{name}: the file is empty; copy it again")
    if (plain := _plain_jpeg(data)) is not None:
        return plain[0]
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InputError(f"{name}: too large or malformed; OpenCV says: {error.err}; save it anew") from error
    # The stubs of OpenCV promise an image, but what cannot be decoded is None.
    if image is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise InputError(f"{name}: not an image, or a truncated or corrupt one; check that it opens in a viewer")
    return image.astype(np.uint8, copy=False)


def _bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder, not an image; give a file in it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read; {error}; check its permissions") from error


def _plain_jpeg(data: bytes, needed: Callable[[Size], Size] | None = None) -> tuple[Image, Size] | None:
    """A JPEG by libjpeg-turbo itself where simplejpeg is installed: OpenCV's bytes in half its time, and its full size.

    None for what is anything else than whole, upright, and grey or of the usual colours; OpenCV knows what to do then.
    """
    decoder = _jpeg_decoder()
    if decoder is None or not data.startswith(b"\xff\xd8"):
        return None
    start = data.find(b"Exif\0\0", 0, _HEADERS)
    if start >= 0 and _TURNED.search(data, start, start + 65536):
        return None
    try:
        height, width, colors, _ = decoder.decode_jpeg_header(data)
        if colors not in ("YCbCr", "Gray") or height * width > _MOST_PIXELS:
            return None
        part = 1 if needed is None else _part((height, width), needed((height, width)))
        least_height, least_width = -(-height // part), -(-width // part)
        image = decoder.decode_jpeg(data, "BGR", min_height=least_height, min_width=least_width, min_factor=part)
    except ValueError:
        return None
    return image, (height, width)


def _part(size: Size, needed: Size) -> int:
    """The largest divisor that libjpeg decodes to and that leaves as many px as are needed."""
    most = min(own // least for own, least in zip(size, needed, strict=True))
    return max(part for part in (1, 2, 4, 8) if part <= max(1, most))


@cache
def _jpeg_decoder() -> Any:
    """The module simplejpeg, or None where it is not installed."""
    try:
        return import_module("simplejpeg")
    except ImportError:
        return None


def read_reduced(path: str | Path, needed: Callable[[Size], Size]) -> tuple[Image, Size]:
    """An image file, and its (height, width) px as `read_image` would have it.

    A plain JPEG comes at a half, a quarter or an eighth of that where it is no smaller than what is `needed` of such a
    size: sooner, and with other pixels. Everything else comes as it is, and without simplejpeg so does all.
    """
    data = _bytes(path)
    if (plain := _plain_jpeg(data, needed)) is not None:
        return plain
    image = decode_image(data, str(path))
    return image, (image.shape[0], image.shape[1])


def write_image(path: Path, image: Image) -> None:
    """Write (h, w, 3) uint8 BGR in the format of the suffix, whole or not at all; else DetforgeError."""
    try:
        done, data = cv2.imencode(path.suffix, image)
    except cv2.error as error:
        raise DetforgeError(f"{path}: cannot be written; OpenCV says: {error.err}; choose another format") from error
    if not done:
        raise DetforgeError(
            f"{path}: cannot be written; {path.suffix} takes no {image.shape[1]}x{image.shape[0]} image"
        )
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())
