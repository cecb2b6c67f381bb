"""Checks of images that a caller gives."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..system.errors import UsageError
from .geometry import Image


def checked(images: Sequence[Any]) -> Sequence[Image]:
    """Return the images. Raises UsageError for what is not (h, w, 3) uint8, with the usual remedy for it."""
    for given in images:
        if not isinstance(given, np.ndarray):
            raise _error(*_kind(given))
        image = cast(NDArray[Any], given)
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape or image.dtype != np.uint8:
            raise _error(f"{image.shape} {image.dtype}", _remedy(image))
    return images


def _error(what: str, remedy: str) -> UsageError:
    return UsageError(f"an image must be an array (height, width, 3) uint8 BGR, not {what}; {remedy}")


def _kind(image: object) -> tuple[str, str]:
    """What an object that is no array is, and what to do."""
    if image is None:
        return "None", "cv2.imread returns None for a file that it cannot read, so check the path"
    if isinstance(image, str | Path):
        return f"the path '{image}'", "read the file with cv2.imread, or pass the path to stream()"
    kind = type(image)
    if kind.__module__.startswith("PIL."):
        return "an image of Pillow", "convert it with np.asarray(image.convert('RGB'))[..., ::-1]"
    return f"a value of type {kind.__name__}", "convert it to a NumPy array; several images are a list"


def _remedy(image: NDArray[Any]) -> str:
    """What to do with an array of another shape or type."""
    shape = image.shape
    if 0 in shape:
        return "it is empty, so check how it was cut out"
    if len(shape) == 2 or shape[2:] == (1,):
        return "it is grey, so convert it with cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)"
    if len(shape) == 4:
        return "give several images as a list, such as list(images)"
    if len(shape) == 3 and shape[0] == 3 and shape[2] not in (3, 4):
        return "its channels come first, so turn it with image.transpose(1, 2, 0)"
    if shape[2:] == (4,):
        return "it has an alpha channel, so drop that with image[..., :3]"
    if image.dtype.kind == "f":
        return "scale its values to 0..255 and convert them with image.astype(np.uint8)"
    return "convert its values to 0..255 with image.astype(np.uint8)" if shape[2:] == (3,) else "check its shape"
