"""Helpers for boxes on a canvas."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..inputs.geometry import Frame, Size

Clip = Literal["image", "last_pixel", "canvas", "last_canvas_pixel", "none"]
"""Where boxes are clipped: at the size of the image or of the canvas, at the last pixel of either (as before 2020), or
nowhere."""
LAST_PIXEL = ("last_pixel", "last_canvas_pixel")


def in_image(places: NDArray[Any], frame: Frame) -> NDArray[np.float32]:
    """Convert points (n, 2) xy or boxes (n, 4) xyxy from px of the canvas to px of the resized image."""
    top, left = frame.offset
    return places - np.array([left, top] * (places.shape[1] // 2), np.float32)


def clipped(boxes: NDArray[np.float32], frame: Frame, clip: Clip) -> NDArray[np.float32]:
    """Clip boxes (n, 4) xyxy in px of the resized image."""
    if clip == "none":
        return boxes
    is_canvas = clip in ("canvas", "last_canvas_pixel")
    top, left = frame.offset if is_canvas else (0, 0)
    height, width = frame.canvas_size if is_canvas else frame.content_size
    low = np.array([-left, -top, -left, -top], np.float32)
    return np.clip(boxes, low, low + np.array([width, height, width, height], np.float32) - (clip in LAST_PIXEL))


def has_area(boxes: NDArray[np.float32], inclusive: bool) -> NDArray[np.bool_]:
    """Which boxes (n,) are not empty. With `inclusive`, sides are x2 - x1 + 1."""
    sides = boxes[:, 2:] - boxes[:, :2] + inclusive
    return (sides[:, 0] > 0) & (sides[:, 1] > 0)


def largest_shift(canvas: Size) -> float:
    """How far a side of the largest box moves by an error of 1 in its deltas: a fifth of the canvas (h, w) px."""
    return max(canvas) / 5
