"""Helpers for boxes on a canvas."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..inputs.geometry import Frame

Clip = Literal["image", "last_pixel", "canvas", "none"]
"""Where boxes are clipped: at the image's size, its last pixel (as before 2020), the canvas's size, or nowhere."""


def in_image(places: NDArray[Any], frame: Frame) -> NDArray[np.float32]:
    """Convert points (n, 2) xy or boxes (n, 4) xyxy from px of the canvas to px of the resized image."""
    top, left = frame.offset
    return places - np.array([left, top] * (places.shape[1] // 2), np.float32)


def clipped(boxes: NDArray[np.float32], frame: Frame, clip: Clip) -> NDArray[np.float32]:
    """Clip boxes (n, 4) xyxy in px of the resized image."""
    if clip == "none":
        return boxes
    height, width = frame.canvas_size if clip == "canvas" else frame.content_size
    limit = np.array([width, height, width, height], np.float32) - (clip == "last_pixel")
    return np.clip(boxes, 0, limit)


def has_area(boxes: NDArray[np.float32], clip: Clip) -> NDArray[np.bool_]:
    """Which boxes (n,) are not empty. With "last_pixel", sides are x2 - x1 + 1."""
    sides = boxes[:, 2:] - boxes[:, :2] + (clip == "last_pixel")
    return (sides[:, 0] > 0) & (sides[:, 1] > 0)
