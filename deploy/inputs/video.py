"""The frames of videos, cameras and streams."""

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ..system.errors import InputError
from .geometry import Image
from .kinds import HEAD, is_text
from .listing import Item

_MOST_FPS = 1000.0
"""Higher rates are the clocks of cameras and DV files, not rates of frames."""


def frames(item: Item) -> Iterator[tuple[Image, float]]:
    """Every frame (h, w, 3) uint8 BGR, upright, and how many come in a second, 0 where that is unknown.

    InputError when there is none, or when a file or stream ends before its time.
    """
    capture = _opened(item)
    try:
        fps = _finite(capture.get(cv2.CAP_PROP_FPS))
        fps = fps if fps <= _MOST_FPS else 0.0
        announced = _finite(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        length = announced / fps if fps else 0.0
        count, seen = 0, 0.0
        while True:
            read, image = capture.read()
            if not read:
                break
            seen = capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            yield image.astype(np.uint8, copy=False), fps
            count += 1
    finally:
        capture.release()
    if item.is_live and not length:
        raise InputError(f"{item.shown}: the stream broke off after {count} frames; check the camera or connection")
    if not count:
        remedy = "download it first" if item.is_live else "convert it to H.264, or copy it again"
        raise InputError(f"{item.shown}: no frame of this video can be read; {remedy}")
    # The number of frames is an estimate in some containers, and the mean rate in others. So both must fall short.
    # `seen` is when the last frame began; one more frame and 2 % are allowed for containers that round.
    if count < announced and seen + 2 / max(fps, 1.0) < 0.98 * length:
        raise InputError(
            f"{item.shown}: the video ends after {count} frames, {seen:.1f} s of {length:.1f} s; copy it again"
        )


def _opened(item: Item) -> cv2.VideoCapture:
    if item.is_live:
        capture = cv2.VideoCapture(int(item.path)) if item.path.isdigit() else cv2.VideoCapture(item.path)
        if not capture.isOpened():
            raise InputError(f"{item.shown}: this camera or stream does not answer; check the number or address")
        return capture
    try:
        with Path(item.path).open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise InputError(f"{item.shown}: cannot be read; {error.strerror}; check its permissions") from error
    if is_text(head) or not (capture := cv2.VideoCapture(item.path)).isOpened():
        raise InputError(f"{item.shown}: not an image or video, or a truncated one; open it in a viewer")
    return capture


def _finite(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0
