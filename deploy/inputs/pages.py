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
_CLASSIC, _BIG = (4, 2, 12), (8, 8, 20)
"""Bytes of an offset, of the number of entries and of an entry in a TIFF's directories."""
_SUBFILE, _LONG = 254, 4
"""TIFF's tag for what a page is to the others of its file, and the type of its value."""


def has_pages(data: bytes, kind: str | None) -> bool:
    """Whether there may be more than one page."""
    if kind == "TIFF":
        return len(_directories(data)) > 1
    signs = {"PNG": b"acTL", "WebP": b"ANIM", "AVIF": b"avis"}
    return kind == "GIF" or (kind in signs and signs[kind] in data[:_HEADERS])


def begins_with_preview(data: bytes) -> bool:
    """Whether the first page of a TIFF is a smaller copy of another, as cameras write it in their raw formats."""
    order = _order(data)
    start = _directories(data)[0] + _layout(data)[1]
    tag, kind = (int.from_bytes(data[at : at + 2], order) for at in (start, start + 2))
    return tag == _SUBFILE and kind == _LONG and bool(int.from_bytes(data[start + 8 : start + 12], order) & 1)


def more_pages(data: bytes, name: str, first: Image) -> list[Image]:
    """The pages after the first as (h, w, 3) uint8 BGR; InputError where one is broken. OpenCV decodes all at once."""
    most = max(2, _MOST_BYTES // first.nbytes)
    try:
        whole, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR, range=(0, most + 1))
    except cv2.error as error:
        raise InputError(f"{name}: a page is malformed; OpenCV says: {error.err}; save it anew") from error
    if not whole or (data[:2] in (b"II", b"MM") and len(pages) < min(most, len(_directories(data)))):
        raise InputError(f"{name}: truncated or corrupt after its first page; check that it opens in a viewer")
    if len(pages) > most:
        raise InputError(f"{name}: more than {most} pages, which do not fit in memory; make a video of it")
    return [page.astype(np.uint8, copy=False) for page in pages[1:]]


def _directories(data: bytes) -> list[int]:
    """Where the directories of a TIFF begin, one for each page; the last one may be missing."""
    offset, count, entry = _layout(data)
    found: list[int] = []
    at = offset  # the first offset follows as many bytes as it has
    while (start := int.from_bytes(data[at : at + offset], _order(data))) and start not in found:
        found.append(start)
        at = start + count + entry * int.from_bytes(data[start : start + count], _order(data))
    return found or [0]


def _layout(data: bytes) -> tuple[int, int, int]:
    return _BIG if 43 in data[2:4] else _CLASSIC


def _order(data: bytes) -> Literal["little", "big"]:
    return "little" if data.startswith(b"II") else "big"
