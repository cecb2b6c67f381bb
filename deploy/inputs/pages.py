"""Image files of several pages or frames: TIFF, GIF, and animated PNG, WebP and AVIF."""

from typing import Literal

import cv2
import numpy as np

from ..system.errors import InputError
from .geometry import Image

_MOST_BYTES = 1 << 31
"""Of the pages of a file."""
_HEADERS = 1 << 18
"""So many bytes may come before a PNG's pixels and hold what is said of its frames."""
_ENTRY = 12
"""Bytes of an entry in a TIFF's directory."""
_SUBFILE, _LONG = 254, 4
"""TIFF's tag for what a page is to the others of its file, and the type of its value."""


def has_pages(data: bytes, kind: str | None) -> bool:
    """Whether there may be more than one page."""
    if kind == "TIFF":
        order, start = _directory(data)
        count = int.from_bytes(data[start : start + 2], order)
        following = start + 2 + count * _ENTRY
        return data[2] + data[3] != 42 or any(data[following : following + 4])  # a BigTIFF may have
    signs = {"PNG": b"acTL", "WebP": b"ANIM", "AVIF": b"avis"}
    return kind == "GIF" or (kind in signs and signs[kind] in data[:_HEADERS])


def begins_with_preview(data: bytes) -> bool:
    """Whether the first page of a TIFF is a smaller copy of another, as cameras write it in their raw formats."""
    order, start = _directory(data)
    tag, kind = (int.from_bytes(data[at : at + 2], order) for at in (start + 2, start + 4))
    return tag == _SUBFILE and kind == _LONG and bool(int.from_bytes(data[start + 10 : start + 14], order) & 1)


def more_pages(data: bytes, name: str, first: Image) -> list[Image]:
    """The pages after the first as (h, w, 3) uint8 BGR; InputError where one is broken. OpenCV decodes all at once."""
    most = max(2, _MOST_BYTES // first.nbytes)
    try:
        whole, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR, range=(0, most + 1))
    except cv2.error as error:
        raise InputError(f"{name}: a page is malformed; OpenCV says: {error.err}; save it anew") from error
    if not whole:
        raise InputError(f"{name}: truncated or corrupt after its first page; check that it opens in a viewer")
    if len(pages) > most:
        raise InputError(f"{name}: more than {most} pages, which do not fit in memory; make a video of it")
    return [page.astype(np.uint8, copy=False) for page in pages[1:]]


def _directory(data: bytes) -> tuple[Literal["little", "big"], int]:
    """The byte order of a TIFF, and where its first directory begins."""
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    return order, int.from_bytes(data[4:8], order)
