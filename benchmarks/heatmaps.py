"""Time the heatmap decoders against NumPy and OpenCV, on the maps of eight people.

    python benchmarks/heatmaps.py [--rounds 30] [--json FILE]

The alternatives use float32, are vectorised where the rule allows it, smooth with cv2.GaussianBlur, and must find the
same keypoints.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from turns import Table, deliver, in_turns, parser

from detforge.deploy.bench.environment import Watch
from detforge.deploy.forms import Heatmaps
from detforge.deploy.forms.form import Mirror
from detforge.deploy.forms.keypoints import averaged
from detforge.models.skeletons import COCO_PERSON

Floats = NDArray[np.float32]
Found = tuple[Floats, Floats]
ORDER = np.array(COCO_PERSON.mirrored())
MIRROR = Mirror()


def main() -> None:
    """Print the medians of each method and of the flip test."""
    arguments = parser(__doc__, 30).parse_args()
    cv2.setNumThreads(arguments.threads)
    watch = Watch()
    maps, mirrored = draw((8, 17, 64, 48)), draw((8, 17, 64, 48))
    tasks: list[tuple[str, Callable[[], Found], Callable[[], Found]]] = [
        (rules.method, lambda rules=rules: ours(maps, rules), lambda f=opponent: f(maps))
        for rules, opponent in OPPONENTS
    ]
    tasks.append(
        ("flip", lambda: (averaged(maps, mirrored, MIRROR, ORDER, 1),) * 2, lambda: (average(maps, mirrored),) * 2)
    )
    tables: list[Table] = []
    for title, native, other in tasks:
        for found, expected in zip(native(), other(), strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
        tables.append(Table(title, in_turns({"detforge": native, "NumPy and OpenCV": other}, arguments.rounds)))
    deliver("heatmaps", tables, watch, arguments)


def draw(shape: tuple[int, int, int, int]) -> Floats:
    """Peaks of sigma 2 px at random positions, with noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: shape[2], : shape[3]]
    left, top = rng.uniform(4, shape[3] - 5, shape[:2]), rng.uniform(4, shape[2] - 5, shape[:2])
    distance = (x - left[..., None, None]) ** 2 + (y - top[..., None, None]) ** 2
    return (np.exp(-distance / 8) + 0.01 * rng.standard_normal(shape)).astype(np.float32)


def ours(maps: Floats, rules: Heatmaps) -> Found:
    return rules.points({"heatmaps": maps}, None, ORDER)


def largest(maps: Floats) -> Found:
    """The first maximum of each map (n, k, h, w), and its value."""
    flat = maps.reshape(*maps.shape[:2], -1)
    best = flat.argmax(2)
    values = np.take_along_axis(flat, best[..., None], 2)[..., 0]
    points = np.stack((best % maps.shape[3], best // maps.shape[3]), 2).astype(np.float32)
    points[values <= 0] = -1
    return points, values


def around(maps: Floats, points: Floats) -> Callable[[int, int], Floats]:
    """A function that gives the pixels at (x, y) from the points. Maps are extended by their border."""
    n, k, h, w = maps.shape
    i, j = np.ogrid[:n, :k]
    x, y = points.astype(int)[..., 0], points.astype(int)[..., 1]
    return lambda dx, dy: maps[i, j, np.clip(y + dy, 0, h - 1), np.clip(x + dx, 0, w - 1)]


def inside(maps: Floats, points: Floats, margin: int) -> NDArray[np.bool_]:
    size = np.array([maps.shape[3], maps.shape[2]])
    return ((points > 1) & (points < size - margin)).all(2)


def quarter(maps: Floats) -> Found:
    points, values = largest(maps)
    at = around(maps, points)
    step = 0.25 * np.sign(np.stack((at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)), 2))
    return points + step * inside(maps, points, 1)[..., None], values


def smooth(maps: Floats, size: int) -> Floats:
    """Each map smoothed by a Gaussian with zero padding, scaled to its old maximum."""
    pad = size // 2
    smoothed = np.empty_like(maps)
    for i in np.ndindex(maps.shape[:2]):
        padded = np.pad(maps[i], pad)
        smoothed[i] = cv2.GaussianBlur(padded, (size, size), 0)[pad:-pad, pad:-pad]
    return smoothed * (maps.max((2, 3)) / smoothed.max((2, 3)))[..., None, None]


def dark(maps: Floats) -> Found:
    points, values = largest(maps)
    at = around(np.log(np.maximum(smooth(maps, 11), 1e-10)), points)
    gradient = np.stack((at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)), 2) / 2
    dxx = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4
    dyy = (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
    dxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    return points + newton(gradient, dxx, dxy, dyy) * inside(maps, points, 2)[..., None], values


def udp(maps: Floats) -> Found:
    points, values = largest(maps)
    at = around(np.log(np.clip(smooth(maps, 11), 1e-3, 50)), points)
    gradient = np.stack((at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)), 2) / 2
    dxx, dyy = at(1, 0) - 2 * at(0, 0) + at(-1, 0), at(0, 1) - 2 * at(0, 0) + at(0, -1)
    dxy = (at(1, 1) - at(1, 0) - at(0, 1) + 2 * at(0, 0) - at(-1, 0) - at(0, -1) + at(-1, -1)) / 2
    return points + newton(gradient, dxx + 1.2e-7, dxy, dyy + 1.2e-7), values


def newton(gradient: Floats, dxx: Floats, dxy: Floats, dyy: Floats) -> Floats:
    determinant = dxx * dyy - dxy * dxy
    x = dyy * gradient[..., 0] - dxy * gradient[..., 1]
    y = dxx * gradient[..., 1] - dxy * gradient[..., 0]
    return -np.stack((x, y), 2) / determinant[..., None]


def megvii(maps: Floats) -> Found:
    smoothed = smooth(maps, 5)
    points, values = largest(smoothed)
    at = around(smoothed, points)
    step = 0.25 * np.sign(np.stack((at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)), 2)) + 0.5
    return points + step * inside(maps, points, 1)[..., None], values + 0.5


def integral(maps: Floats) -> Found:
    weights = np.exp(maps - maps.max((2, 3), keepdims=True))
    total = weights.sum((2, 3))
    x = (weights.sum(2) * np.arange(maps.shape[3], dtype=np.float32)).sum(2) / total
    y = (weights.sum(3) * np.arange(maps.shape[2], dtype=np.float32)).sum(2) / total
    return np.stack((x, y), 2), np.ones_like(total)


def average(maps: Floats, mirrored: Floats) -> Floats:
    back = mirrored[:, ORDER, :, ::-1]
    moved = np.concatenate((back[..., :1], back[..., :-1]), 3)
    return (maps + moved) * np.float32(0.5)


OPPONENTS: tuple[tuple[Heatmaps, Callable[[Floats], Found]], ...] = (
    (Heatmaps("argmax"), largest),
    (Heatmaps("quarter"), quarter),
    (Heatmaps("dark"), dark),
    (Heatmaps("udp"), udp),
    (Heatmaps("megvii", blur=5), megvii),
    (Heatmaps("integral"), integral),
)

if __name__ == "__main__":
    main()
