"""Image files to pixels and back."""

from pathlib import Path

import cv2
import numpy as np

from .errors import DetforgeError, InputError
from .files import replacing
from .preprocess import Image


def read_image(path: str | Path) -> Image:
    """An image file as (h, w, 3) uint8 BGR, upright; InputError when it is missing, truncated or no image."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder, not an image; give a file in it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read; {error}; check its permissions") from error
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> Image:
    """The bytes of an image file as (h, w, 3) uint8 BGR, upright; InputError naming it `name`.

    Grey, alpha and 16 bit become 8-bit BGR and EXIF rotation is applied, all as `cv2.imread` does. That one
    fills what a truncated JPEG lacks with grey; `cv2.imdecode` refuses truncated files of every format.
    """
    if not data:
        raise InputError(f"{name}: the file is empty; copy it again")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InputError(f"{name}: too large or malformed; OpenCV says: {error.err}; save it anew") from error
    # The stubs of OpenCV promise an image, but what cannot be decoded is None.
    if image is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise InputError(f"{name}: not an image, or a truncated or corrupt one; check that it opens in a viewer")
    return image.astype(np.uint8, copy=False)


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
