"""Anchors against mmdet's generator, and those of older frameworks against their formulas."""

import math

import numpy as np
import pytest
import torch
from golden.reader import load_ops

from detforge.models.anchors import Anchors

CASES = {case["name"]: case for case in load_ops("anchors")}
SIZES = [(3, 5), (2, 3)]


def corners(anchors: Anchors, sizes: list, like: torch.dtype = torch.float64) -> np.ndarray:
    """What the anchors are as xyxy, in the coordinates of their framework."""
    found = anchors(sizes, torch.zeros((), dtype=like)).numpy()
    reach = (found[:, 2:] - anchors.inclusive) / 2
    return np.concatenate((found[:, :2] - reach, found[:, :2] + reach), 1)


@pytest.mark.parametrize("name", CASES)
def test_anchors_equal_mmdet(name: str) -> None:
    case = CASES[name]
    generator, sizes = case["args"]["cfg"], case["args"]["featmap_sizes"]
    octaves = generator.get("scales_per_octave", 1)
    scales = generator.get("scales") or [generator["octave_base_scale"] * 2 ** (i / octaves) for i in range(octaves)]
    anchors = Anchors(
        tuple(generator["strides"]),
        tuple(generator["ratios"]),
        tuple(scales),
        centre=generator.get("center_offset", 0.0),
    )
    expected = np.concatenate([case["out"][f"level{i}"] for i in range(len(sizes))])
    np.testing.assert_allclose(corners(anchors, sizes), expected, rtol=2e-6, atol=1e-4)
    assert anchors.per_cell == len(case["out"]["base0"])


def everywhere(strides: tuple[int, ...], first_cell) -> np.ndarray:
    """The anchors (x1, y1, x2, y2) of every cell, from those of a level's first."""
    rows = []
    for (height, width), stride in zip(SIZES, strides, strict=True):
        for y in range(height):
            for x in range(width):
                rows += [np.array(box) + [x * stride, y * stride] * 2 for box in first_cell(stride)]
    return np.array(rows)


def test_anchors_of_mmdet_1() -> None:
    """Corners rounded; the middle of a cell of s pixels is (s - 1) / 2, and a width x2 - x1 + 1."""

    def first_cell(stride: int):
        middle = (stride - 1) / 2
        for ratio in (0.5, 1.0, 2.0):
            for octave in range(3):
                size = stride * 4 * 2 ** (octave / 3)
                x, y = 0.5 * (size / ratio**0.5 - 1), 0.5 * (size * ratio**0.5 - 1)
                yield [round(v) for v in (middle - x, middle - y, middle + x, middle + y)]

    anchors = Anchors((8, 32), centre=0.5, inclusive=True, rounded="corners")
    np.testing.assert_allclose(corners(anchors, SIZES), everywhere((8, 32), first_cell), atol=1e-9)


def test_anchors_of_maskrcnn_benchmark() -> None:
    """The window [0, s - 1] in each ratio, its sides rounded, then scaled about its middle."""

    def first_cell(stride: int):
        middle = (stride - 1) / 2
        for ratio in (0.5, 1.0, 2.0):
            width = round(math.sqrt(stride * stride / ratio))
            height = round(width * ratio)
            for octave in range(3):
                size = 4 * stride * 2 ** (octave / 3)
                reach = [0.5 * (side * size / stride - 1) for side in (width, height)]
                yield [middle - reach[0], middle - reach[1], middle + reach[0], middle + reach[1]]

    anchors = Anchors((8, 16), centre=0.5, inclusive=True, rounded="ratios")
    np.testing.assert_allclose(corners(anchors, SIZES), everywhere((8, 16), first_cell), atol=1e-9)


def test_anchors_of_ap_loss() -> None:
    """As maskrcnn-benchmark's, but nothing is rounded, and there are two scales."""

    def first_cell(stride: int):
        middle = (stride - 1) / 2
        for ratio in (0.5, 1.0, 2.0):
            width = math.sqrt(stride * stride / ratio)
            for scale in (4, 4 * math.sqrt(2)):
                reach = [0.5 * (side * scale - 1) for side in (width, width * ratio)]
                yield [middle - reach[0], middle - reach[1], middle + reach[0], middle + reach[1]]

    anchors = Anchors((8, 16), scales=(4, 4 * math.sqrt(2)), centre=0.5, inclusive=True)
    np.testing.assert_allclose(corners(anchors, SIZES), everywhere((8, 16), first_cell), atol=1e-9)


def test_anchors_of_the_authors_of_atss() -> None:
    """The window [0.5, s - 0.5], eight times as large; its width is x2 - x1 + 1, which is the coder's affair."""

    def first_cell(stride: int):
        yield [stride / 2 - 4 * stride, stride / 2 - 4 * stride, stride / 2 + 4 * stride, stride / 2 + 4 * stride]

    anchors = Anchors((8, 16), ratios=(1.0,), scales=(8.0,), centre=0.5)
    np.testing.assert_allclose(corners(anchors, SIZES), everywhere((8, 16), first_cell), atol=1e-9)


def test_half_precision_pictures_have_exact_anchors() -> None:
    """Heads ask in fp32, where the last cell of the largest canvas is still exact."""
    anchors = Anchors()([(2, 3000)] * 5, torch.zeros((), dtype=torch.float32))
    assert anchors[9 * 2999, 0] == 2999 * 8
