"""Test cases of deformable RoI pooling."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from ..core.case import Arrays, Case
from ..core.region_cases import hostile, random_regions


class _Size(NamedTuple):
    finest: tuple[int, int, int, int]
    levels: int
    boxes: int
    output: tuple[int, int] = (2, 3)
    samples: int = 2
    stride: int = 4
    finest_scale: int = 12


_SIZES = {
    "typical": _Size((2, 20, 16, 24), 4, 9, (3, 3)),
    "one level": _Size((2, 5, 9, 7), 1, 9, samples=1, stride=3),
    "three levels": _Size((1, 2, 16, 17), 3, 9, samples=3),
    "five levels": _Size((1, 2, 32, 17), 5, 9),
    "more taps than are shared": _Size((1, 3, 8, 9), 1, 2, (7, 6), 4),
    "one cell": _Size((1, 4, 1, 1), 2, 9, (2, 2)),
    "no images": _Size((0, 4, 6, 7), 2, 5),
    "no boxes": _Size((1, 4, 6, 7), 2, 0),
}


def _attributes(size: _Size) -> dict[str, int | tuple[int, ...]]:
    return {
        "output_height": size.output[0],
        "output_width": size.output[1],
        "stride": size.stride,
        "samples": size.samples,
        "finest_scale": size.finest_scale,
    }


def _shifted(regions: Callable[[], Arrays], output: tuple[int, int]) -> Arrays:
    """Regions, and shifts of up to half of one."""
    *inputs, boxes, around = regions()
    rng = np.random.default_rng(2)
    shifts = rng.uniform(-0.5, 0.5, (*boxes.shape[:2], 2, output[0] * output[1])).astype(np.float32)
    return *inputs, boxes, around, shifts


def _hostile_shifts() -> Arrays:
    *inputs, shifts = _shifted(partial(random_regions, (1, 3, 12, 10), 2, 16, 4), (2, 3))
    rng = np.random.default_rng(3)
    far = np.array([1e30, -1e30, np.inf, -np.inf, np.nan], np.float32)
    return *inputs, np.where(rng.random(shifts.shape) < 0.4, rng.choice(far, shifts.shape), shifts)


_SMALL = _attributes(_Size((1, 3, 12, 10), 2, 16))

CASES = (
    *(
        Case(
            name,
            f"DeformRoiPool{size.levels}",
            partial(_shifted, partial(random_regions, size.finest, size.levels, size.boxes, size.stride), size.output),
            _attributes(size),
        )
        for name, size in _SIZES.items()
    ),
    Case("hostile", "DeformRoiPool2", partial(_shifted, hostile, (2, 3)), _SMALL),
    Case("hostile shifts", "DeformRoiPool2", _hostile_shifts, _SMALL),
)
