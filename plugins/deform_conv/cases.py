"""Test cases of deformable convolution."""

from functools import partial
from typing import NamedTuple

import numpy as np

from ..core.case import Arrays, Case


class _Size(NamedTuple):
    x: tuple[int, int, int, int]
    outputs: int
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    dilations: tuple[int, int] = (1, 1)
    group: int = 1
    offset_group: int = 1


_SIZES = {
    "typical": _Size((1, 16, 9, 11), 24),
    "batch": _Size((3, 8, 6, 7), 5),
    "odd channels": _Size((1, 19, 7, 9), 37),
    "more channels than a panel": _Size((1, 261, 3, 4), 6),
    "few channels, many taps": _Size((1, 3, 9, 8), 4, (5, 7), pads=(2, 3, 2, 3)),
    "1x1": _Size((2, 10, 5, 6), 33, (1, 1), pads=(0, 0, 0, 0)),
    "stride": _Size((1, 8, 11, 14), 9, strides=(2, 3)),
    "dilation": _Size((1, 8, 11, 9), 9, pads=(2, 3, 2, 3), dilations=(2, 3)),
    "unequal pads": _Size((1, 5, 6, 8), 4, pads=(2, 0, 1, 3)),
    "no pads": _Size((1, 5, 6, 8), 4, pads=(0, 0, 0, 0)),
    "groups": _Size((1, 12, 6, 7), 15, group=3),
    "offset groups": _Size((1, 12, 6, 7), 9, offset_group=4),
    "groups of offset groups": _Size((1, 16, 6, 7), 6, group=2, offset_group=8),
    "offset groups of groups": _Size((2, 16, 5, 6), 16, group=8, offset_group=2),
    "groups across offset groups": _Size((1, 12, 6, 7), 8, group=4, offset_group=3),
    "a group and an offset group per channel": _Size((1, 10, 6, 7), 10, group=10, offset_group=10),
    "several tiles": _Size((1, 32, 13, 17), 72),
    "aligned groups across offset groups": _Size((2, 48, 6, 7), 32, group=2, offset_group=3),
    "channels and taps of several panels": _Size((1, 72, 4, 5), 16, (3, 5), pads=(1, 2, 1, 2)),
    "many outputs": _Size((1, 16, 5, 6), 136, (1, 1), pads=(0, 0, 0, 0)),
    "one pixel": _Size((1, 4, 1, 1), 3),
    "one row": _Size((1, 4, 1, 20), 3),
    "one column": _Size((1, 4, 20, 1), 3),
    "one channel": _Size((1, 1, 8, 9), 1),
    "no images": _Size((0, 4, 5, 6), 3),
}


def _attributes(size: _Size) -> dict[str, int | tuple[int, ...]]:
    return {
        "strides": size.strides,
        "pads": size.pads,
        "dilations": size.dilations,
        "group": size.group,
        "offset_group": size.offset_group,
    }


def _random(size: _Size, modulated: bool, largest: float = 2.0) -> Arrays:
    """Offsets of up to `largest` pixels in each direction."""
    rng = np.random.default_rng(0)
    n, channels = size.x[:2]
    height, width = (
        (size.x[2 + i] + size.pads[i] + size.pads[2 + i] - size.dilations[i] * (size.kernel[i] - 1) - 1)
        // size.strides[i]
        + 1
        for i in range(2)
    )
    offsets = size.offset_group * size.kernel[0] * size.kernel[1]
    x = rng.standard_normal(size.x)
    offset = rng.uniform(-largest, largest, (n, 2 * offsets, height, width))
    mask = rng.random((n, offsets, height, width))
    weight = rng.standard_normal((size.outputs, channels // size.group, *size.kernel))
    bias = rng.standard_normal(size.outputs)
    inputs = (x, offset, mask, weight, bias) if modulated else (x, offset, weight, bias)
    return tuple(value.astype(np.float32) for value in inputs)


_SMALL = _Size((1, 6, 7, 8), 5, offset_group=2)


def _on_pixels(modulated: bool) -> Arrays:
    """Integer offsets: samples on pixels, at the last position outside and at the first one inside."""
    x, offset, *others = _random(_SMALL, modulated, 3.0)
    return x, offset.round(), *others


def _no_offsets(modulated: bool) -> Arrays:
    """A plain convolution."""
    x, offset, *others = _random(_SMALL, modulated)
    return x, np.zeros_like(offset), *others


def _far_out(modulated: bool) -> Arrays:
    """Huge offsets, whose samples are 0."""
    x, offset, *others = _random(_SMALL, modulated)
    rng = np.random.default_rng(1)
    far = np.array([1e4, -1e4, 1e9, -1e9, 1e30, -1e30], np.float32)
    return x, np.where(rng.random(offset.shape) < 0.1, rng.choice(far, offset.shape), offset), *others


def _infinite_mask() -> Arrays:
    """Positive values and an infinite mask at one point, so that its results are infinite and not NaN."""
    x, offset, mask, *others = _random(_SIZES["typical"], True)
    mask[:, :, 3, 4] = np.inf
    return np.abs(x), np.zeros_like(offset), mask, *map(np.abs, others)


_OTHERS = {
    "on pixels": _on_pixels,
    "no offsets": _no_offsets,
    "far out": _far_out,
}

CASES = tuple(
    case
    for op, modulated in (("DeformConv", False), ("ModulatedDeformConv", True))
    for case in (
        *(Case(name, op, partial(_random, size, modulated), _attributes(size)) for name, size in _SIZES.items()),
        Case("large offsets", op, partial(_random, _SMALL, modulated, 30.0), _attributes(_SMALL)),
        *(Case(name, op, partial(inputs, modulated), _attributes(_SMALL)) for name, inputs in _OTHERS.items()),
    )
)
CASES += (Case("infinite mask", "ModulatedDeformConv", _infinite_mask, _attributes(_SIZES["typical"])),)
