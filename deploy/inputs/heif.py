"""HEIC, and AVIF that says how it is to be turned: what OpenCV cannot read, and the extra `heif` can."""

import io
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

from ..system.errors import InputError
from .geometry import Image

_BOXES = 1 << 16
"""So many bytes hold what an AVIF says of its pictures."""


def is_turned(data: bytes) -> bool:
    """Whether an AVIF says that its pictures are to be turned or mirrored, which OpenCV does not read."""
    return any(box in data[:_BOXES] for box in (b"irot", b"imir"))


def pages_by_pillow(data: bytes, name: str, kind: str) -> Iterator[Image]:
    """Every picture of the file, upright; InputError without the extra `heif`, or where it is broken."""
    pillow, sequence, turning = _pillow(name, kind)
    try:
        with pillow.open(io.BytesIO(data)) as file:
            for page in sequence.Iterator(file):
                yield np.ascontiguousarray(np.asarray(turning.exif_transpose(page).convert("RGB"))[..., ::-1])
    except Exception as error:  # its plugins raise what they like
        why = type(error).__name__
        raise InputError(f"{name}: {kind} that cannot be decoded ({why}); check that it opens in a viewer") from error


def _pillow(name: str, kind: str) -> tuple[Any, Any, Any]:
    try:
        import_module("pillow_heif").register_heif_opener()
        return import_module("PIL.Image"), import_module("PIL.ImageSequence"), import_module("PIL.ImageOps")
    except ImportError:
        what = "a HEIC picture" if kind == "HEIC" else "a turned AVIF picture"
        raise InputError(
            f"{name}: {what} needs the package pillow-heif; pip install 'detforge[heif]', or save it as JPEG"
        ) from None
