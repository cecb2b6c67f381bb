"""Detections and poses drawn on their image, legible at any size."""

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from .instances import Instances
from .preprocess import Image

DRAWN = 0.3
"""Keypoints with a score above this are drawn."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_COLORS = 100

Color = tuple[int, int, int]


def draw(image: Image, instances: Instances) -> Image:
    """A copy of `image` (h, w, 3) uint8 BGR with boxes, labels, scores and skeletons drawn to its size."""
    canvas = np.ascontiguousarray(image).copy()
    size = (canvas.shape[0] + canvas.shape[1]) / 2
    line = max(1, round(size / 280))
    worst_first = list(instances)[::-1]
    # Boxes may go beyond the image, but OpenCV counts no further than 32 bits.
    corners = [np.clip(np.rint(found.boxes[0]), -1e6, 1e6).astype(int).tolist() for found in worst_first]
    # All boxes before all labels, so that no line crosses a label.
    for found, (x1, y1, x2, y2) in zip(worst_first, corners, strict=True):
        color = color_of(int(found.labels[0]))
        cv2.rectangle(canvas, (x1, y1), (max(x1, x2 - 1), max(y1, y2 - 1)), color, line, cv2.LINE_AA)
    for found in worst_first:
        _skeleton(canvas, found, line)
    for found, (x1, y1, _, y2) in zip(worst_first, corners, strict=True):
        label = int(found.labels[0])
        text = f"{found.names[label]} {found.scores[0]:.2f}"
        _label(canvas, text, (x1, y1, y2), color_of(label), size, line)
    return canvas


def color_of(label: int) -> Color:
    """The BGR colour of a class, the same in every image; it comes again after 100 classes."""
    return _palette()[label % _COLORS]


def _skeleton(canvas: Image, found: Instances, line: int) -> None:
    """One pose: limbs, each in a colour of its own, and on them the keypoints, the surer the larger."""
    if found.keypoints is None or found.skeleton is None:
        return
    pose = np.nan_to_num(found.keypoints[0], nan=-1.0)
    places = np.clip(np.rint(pose[:, :2] * 16), -1e7, 1e7).astype(int).tolist()
    seen = (pose[:, 2] > DRAWN).tolist()
    for i, (start, end) in enumerate(found.skeleton.links):
        if seen[start] and seen[end]:
            cv2.line(canvas, places[start], places[end], color_of(i), line + 1, cv2.LINE_AA, 4)
    for (x, y), is_seen, score in zip(places, seen, pose[:, 2].tolist(), strict=True):
        if is_seen:
            radius = 10 * line * (1 + min(score, 1.0))
            cv2.circle(canvas, (x, y), round(radius + 16), (0, 0, 0), cv2.FILLED, cv2.LINE_AA, 4)
            cv2.circle(canvas, (x, y), round(radius), (255, 255, 255), cv2.FILLED, cv2.LINE_AA, 4)


def _label(canvas: Image, text: str, box: tuple[int, int, int], color: Color, size: float, line: int) -> None:
    """A plate above the box at (x1, y1, y2), else inside its top, fitted into the image."""
    height, width = canvas.shape[:2]
    scale, weight = max(0.34, size / 1250), max(1, round(size / 700))
    (text_width, text_height), pad = _extent(text, scale, weight), line + 1
    if (room := (width - 2 * pad) / text_width) < 1:
        scale, weight = scale * room, 1
        text_width, text_height = _extent(text, scale, weight)
    plate_width, plate_height = text_width + 2 * pad, text_height + 2 * pad
    if scale < 0.2 or plate_height > height:
        return  # no letter could be read
    x1, y1, y2 = box
    above = y1 - plate_height
    left = min(max(0, x1 - line // 2), width - plate_width)
    top = min(max(0, above if above >= 0 else min(y1, y2)), height - plate_height)
    cv2.rectangle(canvas, (left, top), (left + plate_width - 1, top + plate_height - 1), color, cv2.FILLED)
    # 0.26 of the height are what letters like g need below the line.
    origin = left + pad, top + pad + round(text_height * 0.74)
    cv2.putText(canvas, text, origin, _FONT, scale, _ink(color), weight, cv2.LINE_AA)


def _extent(text: str, scale: float, weight: int) -> tuple[int, int]:
    """Width and height in px, the height that of any letter."""
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, weight)
    return max(1, width), max(1, round(scale * 32))


def _ink(color: Color) -> Color:
    """Black or white, whichever stands out more from a BGR colour."""
    blue, green, red = ((channel / 255) ** 2.2 for channel in color)
    return (0, 0, 0) if 0.0722 * blue + 0.7152 * green + 0.2126 * red > 0.18 else (255, 255, 255)


@functools.cache
def _palette() -> list[Color]:
    """Colours each as far as can be, as the eye sees it, from all before."""
    steps = np.linspace(0, 255, 9).round()
    candidates = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
    seen = _oklab(candidates)
    vivid = (seen[:, 0] > 0.5) & (seen[:, 0] < 0.9) & (np.hypot(seen[:, 1], seen[:, 2]) > 0.1)
    candidates, seen = candidates[vivid], seen[vivid]
    chosen = [int(np.abs(candidates - (0, 160, 255)).sum(1).argmin())]  # orange is rare in photographs
    distance = np.full(len(seen), np.inf)
    while len(chosen) < _COLORS:
        distance = np.minimum(distance, np.linalg.norm(seen - seen[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return [(int(b), int(g), int(r)) for b, g, r in candidates[chosen]]


def _oklab(colors: NDArray[np.float64]) -> NDArray[np.float64]:
    """BGR colours (n, 3) of 0..255 to lightness, a and b of OKLab (bottosson.github.io/posts/oklab)."""
    # OpenCV's Lab would do, but builds tables for a quarter of a second.
    to_cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    to_lab = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    linear = (colors[:, ::-1] / 255) ** 2.2
    return np.cbrt(linear @ np.array(to_cones).T) @ np.array(to_lab).T
