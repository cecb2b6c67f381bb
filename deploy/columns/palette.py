"""Colours for classes and limbs."""

import functools

import numpy as np
from numpy.typing import NDArray

_COLORS = 100

Color = tuple[int, int, int]


def color_of(label: int) -> Color:
    """The BGR colour of a class, the same in every image. Colours repeat after 100 classes."""
    return _palette()[label % _COLORS]


@functools.cache
def _palette() -> list[Color]:
    """Colours, each with the largest possible perceptual distance from all before it."""
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
    """Convert BGR colours (n, 3), 0..255, to OKLab: lightness, a, b (bottosson.github.io/posts/oklab)."""
    # OpenCV's Lab takes a quarter of a second to build its tables.
    to_cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    to_lab = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    linear = (colors[:, ::-1] / 255) ** 2.2
    return np.cbrt(linear @ np.array(to_cones).T) @ np.array(to_lab).T
