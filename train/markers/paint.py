"""Drawing functions shared by this folder: colours, smooth noise and lines of text.

Images are (h, w, 3) uint8 BGR. Masks are (h, w) uint8, 255 for ink or matter.
"""

from functools import cache

import cv2
import numpy as np

Image = np.ndarray
Rng = np.random.Generator

_LINE_HEIGHT = 32
_LINES_PER_FONT = 12
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:-/&%#()"


def chance(rng: Rng, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def color(rng: Rng, low: float, high: float, tint: float = 0.3) -> np.ndarray:
    """A colour with a brightness in low..high, mostly greyish, vivid at tint 1. (3,) float32 BGR."""
    hue = rng.random(3)
    grey = rng.uniform(low, high)
    # The tint keeps the mean brightness, so that the contrast is the requested one.
    shifted = grey * (1 + 2 * tint * rng.random() * (hue - hue.mean()))
    return np.clip(shifted, 0, 255).astype(np.float32)


def blank(tone: np.ndarray, height: int, width: int) -> Image:
    """An image of one colour."""
    return cv2.merge([np.full((height, width), channel, np.uint8) for channel in tone.astype(np.uint8)])


def blend(mask: np.ndarray, ink: np.ndarray, paper: np.ndarray) -> Image:
    """Blend `ink` (3,) at mask 255 with `paper` (3,) at mask 0."""
    levels = np.arange(256, dtype=np.float32)[:, None] / 255
    table = (paper + levels * (ink - paper)).astype(np.uint8)
    return cv2.LUT(cv2.merge([mask] * 3), table[None])


def noise(rng: Rng, height: int, width: int, cell: float, octaves: int = 3) -> np.ndarray:
    """Value noise around 0, mostly within -1..1, with its coarsest bumps `cell` px wide. (h, w) float32."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        grid = rng.standard_normal((int(height / step) + 2, int(width / step) + 2), dtype=np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR) / 2**octave
    return total / 2


def ramp(rng: Rng, height: int, width: int) -> np.ndarray:
    """A linear gradient in a random direction, from 0 to 1. (h, w) float32."""
    angle = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(np.cos(angle))
    y = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(np.sin(angle))
    slope = y[:, None] + x[None]
    return (slope - slope.min()) / (np.ptp(slope) + 1e-6)


def write_lines(rng: Rng, canvas: Image, ink: np.ndarray, height: int, leading: float = 1.5) -> None:
    """Fill `canvas`, in place, with left-aligned lines of text, `height` px high."""
    rows, cols = canvas.shape[:2]
    font = int(rng.integers(len(_atlas())))
    for top in range(0, rows - height, max(int(height * leading), 1)):
        width = int(cols * (rng.uniform(0.3, 1.0) if chance(rng, 0.3) else 1.0))
        if width < 2:
            continue
        mask = text_line(rng, height, width, font)
        patch = canvas[top : top + height, : mask.shape[1]]
        _stain(patch, mask, ink)


def text_line(rng: Rng, height: int, width: int, font: int | None = None) -> np.ndarray:
    """A line of random words, `height` px high, at most `width` px long. (height, <= width) mask."""
    lines = _atlas()[int(rng.integers(len(_atlas()))) if font is None else font]
    line = lines[int(rng.integers(len(lines)))]
    span = min(max(int(width * _LINE_HEIGHT / height), 1), line.shape[1])
    start = int(rng.integers(line.shape[1] - span + 1))
    size = (max(min(width, int(span * height / _LINE_HEIGHT)), 1), height)
    return cv2.resize(line[:, start : start + span], size, interpolation=cv2.INTER_AREA)


def _stain(patch: Image, mask: np.ndarray, ink: np.ndarray) -> None:
    alpha = mask[..., None].astype(np.float32) / 255
    patch[:] = patch + alpha * (ink - patch)


@cache
def _atlas() -> list[list[np.ndarray]]:
    """Long lines of made-up words in each of OpenCV's fonts. Cached, since drawing letters is slow."""
    rng = np.random.default_rng(7)
    fonts = []
    for font in range(8):
        lines = []
        for _ in range(_LINES_PER_FONT):
            line = np.zeros((_LINE_HEIGHT, 1200), np.uint8)
            thickness = 1 + int(rng.integers(3))
            cv2.putText(line, _words(rng), (2, 24), font, 0.8, 255, thickness, cv2.LINE_AA)
            lines.append(line[:, : max(int(np.flatnonzero(line.any(axis=0)).max()), 64)])
        fonts.append(lines)
    return fonts


def _words(rng: Rng) -> str:
    letters = np.array(list(_LETTERS))
    return " ".join("".join(rng.choice(letters, int(rng.integers(1, 10)))) for _ in range(14))
