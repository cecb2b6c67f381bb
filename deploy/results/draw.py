"""Draws detections on an image, legibly at any image size."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ..columns.column import Column
from ..columns.palette import Color
from ..inputs.geometry import Image

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(
    image: Image,
    boxes: NDArray[np.float32],
    colors: Sequence[Color],
    captions: Sequence[str],
    columns: Mapping[str, Column],
) -> Image:
    """A copy of `image` (h, w, 3) uint8 BGR with boxes (n, 4), columns and captions, the best detection on top.

    `colors` are the boxes' BGR colours.
    """
    canvas = np.ascontiguousarray(image).copy()
    size = (canvas.shape[0] + canvas.shape[1]) / 2
    line = max(1, round(size / 280))
    worst_first = range(len(colors) - 1, -1, -1)
    # Boxes may extend beyond the image, but OpenCV takes 32-bit coordinates only.
    corners: list[list[int]] = np.clip(np.rint(np.nan_to_num(boxes)), -1e6, 1e6).astype(int).tolist()
    # All boxes before all captions, so that no line crosses a caption.
    for i in worst_first:
        x1, y1, x2, y2 = corners[i]
        cv2.rectangle(canvas, (x1, y1), (max(x1, x2 - 1), max(y1, y2 - 1)), colors[i], line, cv2.LINE_AA)
    for i in worst_first:
        for column in columns.values():
            column.paint(canvas, i, line)
    for i in worst_first:
        x1, y1, _, y2 = corners[i]
        _caption(canvas, captions[i], (x1, y1, y2), colors[i], size, line)
    return canvas


def _caption(canvas: Image, text: str, box: tuple[int, int, int], color: Color, size: float, line: int) -> None:
    """Draw a caption above the box (x1, y1, y2), or inside its top edge, so that it fits in the image."""
    height, width = canvas.shape[:2]
    scale, weight = max(0.34, size / 1250), max(1, round(size / 700))
    (text_width, text_height), pad = _extent(text, scale, weight), line + 1
    if (room := (width - 2 * pad) / text_width) < 1:
        scale, weight = scale * room, 1
        text_width, text_height = _extent(text, scale, weight)
    plate_width, plate_height = text_width + 2 * pad, text_height + 2 * pad
    if scale < 0.2 or plate_height > height:
        return  # it would not be legible
    x1, y1, y2 = box
    above = y1 - plate_height
    left = min(max(0, x1 - line // 2), width - plate_width)
    top = min(max(0, above if above >= 0 else min(y1, y2)), height - plate_height)
    cv2.rectangle(canvas, (left, top), (left + plate_width - 1, top + plate_height - 1), color, cv2.FILLED)
    # The lower 0.26 of the height is for descenders.
    origin = left + pad, top + pad + round(text_height * 0.74)
    cv2.putText(canvas, text, origin, _FONT, scale, _ink(color), weight, cv2.LINE_AA)


def _extent(text: str, scale: float, weight: int) -> tuple[int, int]:
    """The width of a text and the height of its font in px."""
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, weight)
    return max(1, width), max(1, round(scale * 32))


def _ink(color: Color) -> Color:
    """Black or white, whichever has more contrast with a BGR colour."""
    blue, green, red = ((channel / 255) ** 2.2 for channel in color)
    return (0, 0, 0) if 0.0722 * blue + 0.7152 * green + 0.2126 * red > 0.18 else (255, 255, 255)
