"""Test cases of precise RoI pooling."""

from functools import partial
from typing import NamedTuple

from ..core.case import Case
from ..core.region_cases import hostile, not_a_number, on_cells, random_regions


class _Size(NamedTuple):
    finest: tuple[int, int, int, int]
    levels: int
    boxes: int
    output: tuple[int, int] = (2, 3)
    stride: int = 4
    finest_scale: int = 12


_SIZES = {
    "typical": _Size((2, 20, 16, 24), 4, 12, (3, 3)),
    "one level": _Size((2, 5, 9, 7), 1, 9, stride=3),
    "three levels": _Size((1, 2, 16, 17), 3, 9),
    "five levels": _Size((1, 2, 32, 17), 5, 15),
    "one cell": _Size((1, 4, 1, 1), 2, 9, (2, 2)),
    "no images": _Size((0, 4, 6, 7), 2, 5),
    "no boxes": _Size((1, 4, 6, 7), 2, 0),
    "no channels": _Size((1, 0, 6, 7), 2, 3),
}


def _attributes(size: _Size) -> dict[str, int | tuple[int, ...]]:
    return {
        "output_height": size.output[0],
        "output_width": size.output[1],
        "stride": size.stride,
        "finest_scale": size.finest_scale,
    }


_SMALL = _attributes(_Size((1, 3, 12, 10), 2, 16))

CASES = (
    *(
        Case(
            name,
            f"PrRoiPool{size.levels}",
            partial(random_regions, size.finest, size.levels, size.boxes, size.stride),
            _attributes(size),
        )
        for name, size in _SIZES.items()
    ),
    Case("on cells", "PrRoiPool2", on_cells, _SMALL),
    Case("hostile", "PrRoiPool2", hostile, _SMALL),
    Case("not a number", "PrRoiPool2", not_a_number, _SMALL),
)
