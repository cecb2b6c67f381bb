"""Test cases of RoIAlign."""

from functools import partial
from typing import NamedTuple

import numpy as np

from ..core.case import Arrays, Case


class _Size(NamedTuple):
    finest: tuple[int, int, int, int]
    levels: int
    boxes: int
    output: tuple[int, int] = (2, 3)
    stride: int = 4
    ratio: int = 0
    aligned: int = 1
    minimum: int = 0
    finest_scale: int = 12


_SIZES = {
    "typical": _Size((1, 20, 16, 24), 4, 12, (7, 7)),
    "fixed ratio": _Size((2, 3, 16, 24), 2, 9, ratio=2),
    "not aligned": _Size((2, 3, 16, 24), 3, 9, aligned=0, minimum=1),
    "one level": _Size((2, 5, 9, 7), 1, 9, stride=3, aligned=0),
    "five levels": _Size((1, 2, 32, 17), 5, 15, (3, 2)),
    "more channels than a tile": _Size((1, 67, 5, 6), 1, 2),
    "more bins than a tile": _Size((1, 4, 6, 7), 1, 2, (9, 8), ratio=1),
    "more taps than are shared": _Size((1, 1, 6, 7), 1, 2, (5, 5), ratio=60),
    "one cell": _Size((1, 4, 1, 1), 2, 9, (2, 2), ratio=2, aligned=0, minimum=1),
    "no images": _Size((0, 4, 6, 7), 2, 5),
    "no boxes": _Size((1, 4, 6, 7), 2, 0),
    "no channels": _Size((1, 0, 6, 7), 2, 3),
}


def _attributes(size: _Size) -> dict[str, int | tuple[int, ...]]:
    return {
        "output_height": size.output[0],
        "output_width": size.output[1],
        "stride": size.stride,
        "sampling_ratio": size.ratio,
        "aligned": size.aligned,
        "minimum": size.minimum,
        "finest_scale": size.finest_scale,
    }


def _random(size: _Size) -> Arrays:
    """Boxes of all sizes, some in part outside the image, and regions around them."""
    rng = np.random.default_rng(0)
    n, channels, height, width = size.finest
    levels = [
        rng.standard_normal((n, channels, max(1, height >> i), max(1, width >> i))).astype(np.float32)
        for i in range(size.levels)
    ]
    image = size.stride * np.array([width, height])
    sides = np.exp(rng.uniform(0, np.log(1.2 * image.min()), (n, size.boxes, 2)))
    centres = rng.uniform(0, 1, sides.shape) * image
    boxes, regions = (
        np.concatenate((centres - sides / k, centres + sides / k), 2).astype(np.float32) for k in (2, 1.7)
    )
    return *levels, boxes, regions


_SMALL = _Size((1, 3, 12, 10), 2, 16)


def _on_cells() -> Arrays:
    """Corners on cells and on the limits between two levels."""
    *levels, boxes, _ = _random(_SMALL)
    boxes = boxes.round() // 4 * 4
    boxes[0, :4] = [[0, 0, 12, 12], [4, 8, 28, 32], [-8, -8, 4, 4], [0, 0, 24, 24]]
    return *levels, boxes, boxes


def _hostile() -> Arrays:
    """Boxes that are empty, inverted, far away, infinite or NaN, in part or as a whole."""
    *levels, boxes, regions = _random(_SMALL)
    rng = np.random.default_rng(1)
    far = np.array([1e30, -1e30, np.inf, -np.inf, np.nan], np.float32)
    for x in (boxes, regions):
        x[:, :8] = np.where(rng.random((8, 4)) < 0.4, rng.choice(far, (8, 4)), x[:, :8])
        x[:, 8] = 0
        x[:, 9:11] = x[:, 9:11, [2, 3, 0, 1]]
        x[:, 11:] = far[:, None]
    return *levels, boxes, regions


def _not_a_number() -> Arrays:
    """A NaN is in the bins that sample it, and in no other."""
    *levels, boxes, regions = _random(_SMALL)
    levels[0][0, 1, 5, 5] = np.nan
    return *levels, boxes, regions


CASES = (
    *(Case(name, f"RoiAlign{size.levels}", partial(_random, size), _attributes(size)) for name, size in _SIZES.items()),
    Case("on cells", "RoiAlign2", _on_cells, _attributes(_SMALL)),
    Case("hostile", "RoiAlign2", _hostile, _attributes(_SMALL)),
    Case("hostile, fixed ratio", "RoiAlign2", _hostile, _attributes(_SMALL._replace(ratio=2, aligned=0, minimum=1))),
    Case("not a number", "RoiAlign2", _not_a_number, _attributes(_SMALL)),
)
