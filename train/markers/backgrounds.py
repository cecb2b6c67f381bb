"""Backgrounds of the symbols: photographs, surfaces and look-alikes.

The photographs are part of installed packages, so nothing is downloaded. Licences: those of scikit-image are in the
public domain, CC0 or without known restrictions, as documented in `skimage.data`; `china` and `flower` of
scikit-learn are CC BY 2.0, by danielbuechele and vultilion on Flickr.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from .lookalikes import lookalike
from .paint import Image, Rng, blend, chance, color, noise, ramp

_FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}
_PHOTOGRAPHS = {
    "skimage": (
        *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png"),
        *("coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "retina.jpg"),
        *("rocket.jpg", "text.png"),
    ),
    "sklearn": ("china.jpg", "flower.jpg"),
}


def background(rng: Rng, size: int) -> Image:
    """A photograph with probability 1/2, else a surface or a look-alike. (size, size, 3) uint8 BGR."""
    kind = rng.random()
    if kind < 0.5:
        return photograph(rng, size)
    if kind < 0.75:
        return surface(rng, size)
    if kind < 0.85:
        return clutter(rng, size)
    return _tilted(rng, lookalike(rng, size, size))


def photograph(rng: Rng, size: int) -> Image:
    """A crop of a photograph, flipped, rotated and recoloured. (size, size, 3) uint8 BGR."""
    source = _photographs()[int(rng.integers(len(_photographs())))]
    rows, cols = source.shape[:2]
    side = min(rows, cols) * rng.uniform(0.25, 1.0)
    height, width = int(side * rng.uniform(0.75, 1.0)), int(side * rng.uniform(0.75, 1.0))
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(cols - width + 1))
    crop = source[top : top + height, left : left + width]
    crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    if chance(rng, 0.5):
        crop = crop[:, ::-1]
    crop = np.rot90(crop, int(rng.integers(4)) if chance(rng, 0.3) else 0)
    return _recolored(rng, np.ascontiguousarray(crop))


def surface(rng: Rng, size: int) -> Image:
    """A wall, table, cloth or sheet: one tone with grain, fibres, a slope. (size, size, 3) uint8 BGR."""
    first, second = color(rng, 20, 250, 0.5), color(rng, 20, 250, 0.5)
    if chance(rng, 0.6):
        second = first * rng.uniform(0.6, 1.4)
    kind = rng.random()
    if kind < 0.3:
        levels = ramp(rng, size, size)
    elif kind < 0.65:
        levels = 0.5 + 0.3 * noise(rng, size, size, rng.uniform(4, size / 2), 4)
    else:
        levels = _wood(rng, size)
    grain = rng.uniform(0, 0.06) * noise(rng, size, size, 2, 1)
    mask = ((levels + grain).clip(0, 1) * 255).astype(np.uint8)
    return blend(mask, first, second.clip(0, 255))


def clutter(rng: Rng, size: int) -> Image:
    """Overlapping polygons and discs of many colours. (size, size, 3) uint8 BGR."""
    picture = surface(rng, size)
    for _ in range(int(rng.integers(5, 40))):
        centre = rng.uniform(0, size, 2)
        radius = rng.uniform(0.02, 0.3) * size
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        outline = centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
        cv2.fillPoly(picture, [outline.astype(np.int32)], color(rng, 0, 255, 0.6).tolist(), cv2.LINE_AA)
    return picture


def _wood(rng: Rng, size: int) -> np.ndarray:
    # Growth rings cut lengthwise: bands across, stretched and bent along the grain.
    across = np.arange(size, dtype=np.float32)[:, None] / rng.uniform(4, 30)
    bent = across + rng.uniform(0.3, 2) * noise(rng, size, size, size / 2, 2)
    fibres = cv2.resize(rng.standard_normal((size, 8), dtype=np.float32), (size, size))
    return 0.5 + 0.3 * np.sin(bent) + 0.12 * fibres


def _tilted(rng: Rng, picture: Image) -> Image:
    size = len(picture)
    square = np.array([(0, 0), (size, 0), (size, size), (0, size)], np.float32)
    # Moving the corners of the view towards the centre never shows the edge of the image.
    seen = square + np.sign(size / 2 - square) * rng.uniform(0, 0.35, (4, 2)) * size
    matrix = cv2.getPerspectiveTransform(seen.astype(np.float32), square)
    turned = cv2.warpPerspective(picture, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(np.rot90(turned, int(rng.integers(4))))


def _recolored(rng: Rng, picture: Image) -> Image:
    if chance(rng, 0.3):
        picture = picture[..., rng.permutation(3)]
    if chance(rng, 0.15):
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    low, high = rng.uniform(0, 60), rng.uniform(170, 255)
    curve = low + (high - low) * np.linspace(0, 1, 256) ** rng.uniform(0.6, 1.6)
    return cv2.LUT(picture, curve.astype(np.uint8))


@cache
def _photographs() -> list[Image]:
    found = []
    for package, names in _PHOTOGRAPHS.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"{package} holds photographs: pip install 'detforge[train]'")
        folder = Path(spec.origin).parent / _FOLDERS[package]
        found += [cv2.imread(str(folder / name), cv2.IMREAD_COLOR) for name in names]
    return found
