"""Test cases of RoIAlign."""

from functools import partial
from typing import NamedTuple

from ..core.case import Arrays, Case
from ..core.region_cases import hostile, not_a_number, on_cells, random_regions


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
    return random_regions(size.finest, size.levels, size.boxes, size.stride)


_SMALL = _Size((1, 3, 12, 10), 2, 16)

CASES = (
    *(Case(name, f"RoiAlign{size.levels}", partial(_random, size), _attributes(size)) for name, size in _SIZES.items()),
    Case("on cells", "RoiAlign2", on_cells, _attributes(_SMALL)),
    Case("hostile", "RoiAlign2", hostile, _attributes(_SMALL)),
    Case("hostile, fixed ratio", "RoiAlign2", hostile, _attributes(_SMALL._replace(ratio=2, aligned=0, minimum=1))),
    Case("not a number", "RoiAlign2", not_a_number, _attributes(_SMALL)),
)
