"""Test cases of BezierAlign."""

from functools import partial
from typing import NamedTuple

import numpy as np

from ..core.case import Arrays, Case
from ..core.region_cases import random_regions


class _Size(NamedTuple):
    finest: tuple[int, int, int, int]
    levels: int
    regions: int
    output: tuple[int, int] = (2, 3)
    stride: int = 4
    finest_scale: int = 12


_SIZES = {
    "typical": _Size((1, 20, 16, 24), 3, 9, (4, 16)),
    "one level": _Size((2, 5, 9, 7), 1, 9, stride=3),
    "five levels": _Size((1, 2, 32, 17), 5, 12, (3, 2)),
    "more taps than are shared": _Size((1, 3, 8, 9), 4, 2, (8, 17)),
    "one bin": _Size((1, 4, 6, 7), 2, 5, (1, 1)),
    "one cell": _Size((1, 4, 1, 1), 2, 9, (2, 2)),
    "no images": _Size((0, 4, 6, 7), 2, 5),
    "no regions": _Size((1, 4, 6, 7), 2, 0),
    "no channels": _Size((1, 0, 6, 7), 2, 3),
}
_SMALL = _Size((1, 3, 12, 10), 2, 16)


def _attributes(size: _Size) -> dict[str, int | tuple[int, ...]]:
    rows, columns = size.output
    sizes = {"output_height": rows, "output_width": columns, "stride": size.stride, "finest_scale": size.finest_scale}
    return dict(sizes)


def _curved(size: _Size) -> Arrays:
    """Levels, and the outlines of boxes whose control points are moved by up to a fifth of the box."""
    *levels, boxes, _ = random_regions(size.finest, size.levels, size.regions, size.stride)
    along = np.array([0, 1 / 3, 2 / 3, 1, 1, 2 / 3, 1 / 3, 0], np.float32)
    places = np.stack((along, np.repeat((0, 1), 4)), 1)
    moved = places + np.random.default_rng(4).uniform(-0.2, 0.2, (*boxes.shape[:2], 8, 2))
    points = boxes[:, :, None, :2] + moved * (boxes[:, :, None, 2:] - boxes[:, :, None, :2])
    return *levels, points.reshape(*boxes.shape[:2], 16).astype(np.float32)


def _hostile() -> Arrays:
    """Control points that are far away, infinite or NaN, in part or as a whole, and regions without an area."""
    *levels, curves = _curved(_SMALL)
    rng = np.random.default_rng(1)
    far = np.array([1e30, -1e30, np.inf, -np.inf, np.nan], np.float32)
    curves[:, :6] = np.where(rng.random((6, 16)) < 0.1, rng.choice(far, (6, 16)), curves[:, :6])
    curves[:, 6] = 0
    curves[:, 7:9] = curves[:, 7:9, ::-1]
    curves[:, 9:14] = far[:, None]
    curves[:, 14] *= 1e4
    return *levels, curves


def _not_a_number() -> Arrays:
    """A NaN is in the bins that it has a weight in, and in no other."""
    *levels, curves = _curved(_SMALL)
    levels[0][0, 1, 5, 5] = np.nan
    return *levels, curves


CASES = (
    *(
        Case(name, f"BezierAlign{size.levels}", partial(_curved, size), _attributes(size))
        for name, size in _SIZES.items()
    ),
    Case("hostile", "BezierAlign2", _hostile, _attributes(_SMALL)),
    Case("not a number", "BezierAlign2", _not_a_number, _attributes(_SMALL)),
)
