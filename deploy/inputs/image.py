"""Image files to pixels and back."""

import re
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..system.errors import DetforgeError, InputError
from ..system.files import replacing
from .geometry import Image
from .heif import is_turned, pages_by_pillow
from .jpeg_end import END, without_end
from .kinds import HEAD, format_of
from .pages import begins_with_preview, has_pages, more_pages

Size = tuple[int, int]
"""Height and width in px."""

_HEADERS = 1 << 18
"""So many bytes may come before what a camera says of a picture."""
_TURNED = re.compile(
    rb"II\*\x00.*?\x12\x01..\x01\x00\x00\x00(?!\x01\x00)|MM\x00\*.*?\x01\x12..\x00\x00\x00\x01(?!\x00\x01)", re.DOTALL
)
"""EXIF's entry for the orientation, little or big endian, with another value than 1."""
_CORRUPT = re.compile(
    "premature end of data segment|bad Huffman code|Unsupported marker|([0-9]+) extraneous bytes before marker 0xd9"
)
"""What libjpeg says of such data."""
_MOST_PIXELS = 1 << 30
"""As OpenCV has it."""
_UNREAD = frozenset(["JPEG XL", "JPEG XR", "Photoshop", "OpenEXR", "DDS", "camera raw"])
_FILLERS = tuple(byte * 64 for byte in (b"\0", b"\x55", b"\xaa", b"\xff\0"))


def read_image(path: str | Path) -> Image:
    """An image file as (h, w, 3) uint8 BGR, upright; InputError when it is missing, truncated or no image.

    Of several pages it is the first.
    """
    return decode_image(_bytes(path), str(path))


def read_pages(path: str | Path) -> Iterator[Image]:
    """Every page of an image file, as `decode_pages` has them."""
    return decode_pages(_bytes(path), str(path))


def decode_image(data: bytes, name: str) -> Image:
    """The first page of an image file, as `decode_pages` has it."""
    return next(decode_pages(data, name))


def decode_pages(data: bytes, name: str) -> Iterator[Image]:
    """The pages or frames of an image file's bytes as (h, w, 3) uint8 BGR, upright; InputError naming it `name`.

    Grey, alpha and 16 bit become 8-bit BGR and EXIF rotation is applied, all as `cv2.imread` does. That one
    fills what a truncated JPEG lacks with grey; `cv2.imdecode` refuses truncated files of every format.
    """
    if not data:
        raise InputError(f"{name}: the file is empty; copy it again")
    kind = format_of(data[:HEAD])
    if kind == "HEIC" or (kind == "AVIF" and is_turned(data)):
        yield from pages_by_pillow(data, name, kind)
        return
    if kind == "TIFF" and begins_with_preview(data):
        raise InputError(f"{name}: a camera's raw picture, of which only a preview is read here; save it as JPEG")
    first = _decoded(data, name, kind)
    yield first
    if has_pages(data, kind):
        yield from more_pages(data, name, first)


def read_depth(path: str | Path) -> NDArray[np.uint16]:
    """A depth picture (h, w) of one channel of 16 bits; InputError when it is missing, truncated or another."""
    data = np.frombuffer(_bytes(path), np.uint8)
    image: Any = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if image is None or image.ndim != 2 or image.dtype != np.uint16:
        what = "no picture" if image is None else f"a picture of shape {image.shape} {image.dtype}"
        raise InputError(f"{path}: no depth picture but {what}; give a PNG of one channel of 16 bits")
    return image


def _decoded(data: bytes, name: str, kind: str | None) -> Image:
    if (plain := _plain_jpeg(data, name)) is not None:
        return plain[0]
    if (image := _by_opencv(data, name)) is not None:
        return image
    if kind == "JPEG" and (body := without_end(data)) is not None:
        # What is missing of a scan would be read from what comes next, so that the pictures differ.
        one, *others = (_by_opencv(body + filler + END, name) for filler in _FILLERS)
        if one is not None and all(np.array_equal(one, np.asarray(other)) for other in others):
            warnings.warn(f"{name}: a JPEG without its end marker; all of the picture is there", stacklevel=2)
            return one
    if kind in _UNREAD:
        raise InputError(f"{name}: {kind}, a format that is not read here; save it as JPEG or PNG")
    if kind is not None:
        raise InputError(f"{name}: {kind} that cannot be decoded; truncated, corrupt or of a rare kind; save it anew")
    raise InputError(f"{name}: not an image; check that it opens in a viewer")


def _by_opencv(data: bytes, name: str) -> Image | None:
    try:
        grey = data.startswith(b"\xff\x4f\xff\x51") and int.from_bytes(data[40:42], "big") < 3
        mode = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR  # OpenCV makes no colours of grey JPEG 2000
        image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        raise InputError(f"{name}: too large or malformed; OpenCV says: {error.err}; save it anew") from error
    # The stubs of OpenCV promise an image, but what cannot be decoded is None.
    if image is None:  # pyright: ignore[reportUnnecessaryComparison]
        return None
    if image.ndim == 2:  # or a grey PFM, whatever is asked for
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
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


def _plain_jpeg(data: bytes, name: str, needed: Callable[[Size], Size] | None = None) -> tuple[Image, Size] | None:
    """A JPEG by libjpeg-turbo itself where simplejpeg is installed: OpenCV's bytes in half its time, and its full size.

    None for what is anything else than whole, upright, and grey or of the usual colours; OpenCV knows what to do then.
    It decodes a corrupt one too, whose pixels are wrong from some place on, so that is said.
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
    except ValueError as error:
        if _is_corrupt(data, str(error)):
            warnings.warn(f"{name}: a corrupt JPEG; parts of the picture may be wrong; copy it again", stacklevel=2)
        return None
    return image, (height, width)


def _is_corrupt(data: bytes, said: str) -> bool:
    """Whether pixels of a JPEG are wrong, by what libjpeg says. Cameras fill up files with zeros, which is harmless."""
    match = _CORRUPT.search(said)
    if match is None or match[1] is None:
        return match is not None
    end = data.rfind(END)
    return bool(data[max(0, end - int(match[1])) : end].strip(b"\0\xff"))


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
    if (plain := _plain_jpeg(data, str(path), needed)) is not None:
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
