"""Anchors: the sized prior boxes that some dense heads start from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .config.section import Section
from .points import grid_points


@dataclass(frozen=True)
class Anchors:
    """The anchors of every cell: each ratio (height / width) with each scale (size / stride).

    Ratios are outermost, or scales without `scale_major`.

    They are centred at (index + centre) * stride + `shift` px, or half a pixel before the centre of a cell if
    `inclusive`: frameworks before 2020 included the last pixel of a box, so that its width is x2 - x1 + 1. They also
    rounded: mmdet 1.x the "corners" of the first cell's anchors, maskrcnn-benchmark the sides of the "ratios" at scale
    1.
    """

    strides: tuple[int, ...] = (8, 16, 32, 64, 128)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    scales: tuple[float, ...] = tuple(4 * 2 ** (i / 3) for i in range(3))
    centre: float = 0.0
    inclusive: bool = False
    rounded: Literal["nothing", "corners", "ratios"] = "nothing"
    scale_major: bool = True
    shift: float = 0.0

    @classmethod
    def from_config(cls, section: Section, *, with_legacy: bool = False) -> "Anchors":
        """OpenMMLab's AnchorGenerator; `with_legacy` also the one of mmdet 1.x."""
        kinds = ("AnchorGenerator", "LegacyAnchorGenerator") if with_legacy else ("AnchorGenerator",)
        legacy = section.typed(*kinds) == "LegacyAnchorGenerator"
        section.fixed(base_sizes=None, use_box_type=False)
        scales = section.numbers("scales", None)
        base, steps = section.number("octave_base_scale", None), section.integer("scales_per_octave", None, most=64)
        if scales is None:
            if base is None or steps is None:
                section.refuse("scales", "numbers, or else octave_base_scale and scales_per_octave")
            scales = tuple(base * 2 ** (i / steps) for i in range(steps))
        elif base is not None or steps is not None:
            section.refuse("scales", "None where there is octave_base_scale")
        ratios, centre = section.numbers("ratios"), section.number("center_offset", 0.0)
        if not (ratios and scales and all(value > 0 for value in (*ratios, *scales))):
            section.refuse("ratios", "positive numbers")
        scale_major, strides = section.flag("scale_major", True), section.integers("strides")
        rounded, shift = "corners" if legacy else "nothing", _read_shift(section, len(strides))
        return cls(strides, ratios, scales, centre, legacy, rounded, scale_major, shift)

    @property
    def per_cell(self) -> int:
        return len(self.ratios) * len(self.scales)

    def first_cell(self, stride: int) -> list[tuple[float, float, float, float]]:
        """The anchors of one level's first cell, cxcywh px."""
        centre = self.centre * (stride - self.inclusive) + self.shift
        anchors: list[tuple[float, float, float, float]] = []
        kinds = [(ratio, scale) for ratio in self.ratios for scale in self.scales]
        if not self.scale_major:
            kinds = [(ratio, scale) for scale in self.scales for ratio in self.ratios]
        for ratio, scale in kinds:
            width, height = stride * scale / math.sqrt(ratio), stride * scale * math.sqrt(ratio)
            if self.rounded == "ratios":
                unit = round(stride / math.sqrt(ratio))
                width, height = scale * unit, scale * round(unit * ratio)
            (cx, width), (cy, height) = (self._rounded(centre, side) for side in (width, height))
            anchors.append((cx, cy, width, height))
        return anchors

    def levels(self, sizes: Sequence[Sequence[int]], like: Tensor) -> list[Tensor]:
        """The anchors (a, 4) cxcywh px of each level of (h, w), cell by cell in the order of `grid_points`."""
        levels: list[Tensor] = []
        for size, stride in zip(sizes, self.strides, strict=True):
            cells, _ = grid_points([size], [stride], like)
            first = like.new_tensor(self.first_cell(stride))
            centres = cells[:, None] + first[:, :2]
            levels.append(torch.cat((centres, first[:, 2:].expand_as(centres)), -1).reshape(-1, 4))
        return levels

    def __call__(self, sizes: Sequence[Sequence[int]], like: Tensor) -> Tensor:
        """All anchors (a, 4) cxcywh px, level by level."""
        return torch.cat(self.levels(sizes, like))

    def _rounded(self, centre: float, side: float) -> tuple[float, float]:
        """One axis of an anchor, with integer corners if they were rounded."""
        if self.rounded != "corners":
            return centre, side
        reach = (side - self.inclusive) / 2
        low, high = round(centre - reach), round(centre + reach)
        return (low + high) / 2, high - low + self.inclusive


def _read_shift(section: Section, levels: int) -> float:
    """The px from the corner of the first cell of every level to the centre of its anchors."""
    corners = section.pairs("centers", None)
    if corners is None:
        return 0.0
    shifts = {value for corner in corners for value in corner}
    if len(corners) != levels or len(shifts) != 1:
        section.refuse("centers", "one number of px for all axes and levels")
    return float(shifts.pop())


@dataclass(frozen=True)
class FittedAnchors:
    """The anchors of torchvision: `sizes` px for each level, corners rounded, and steps that fit the canvas.

    The canvas is as long as the finest level has strides. The step between the cells of a level is the canvas's side
    over the level's, rounded down, so that it may be below the level's stride.
    """

    sizes: tuple[tuple[int, ...], ...]
    strides: tuple[int, ...] = (8, 16, 32, 64, 128)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    inclusive = False

    @property
    def per_cell(self) -> int:
        return len(self.ratios) * len(self.sizes[0])

    def cells(self, sizes: Sequence[Sequence[int]], like: Tensor) -> list[Tensor]:
        """The corner (cells, 2) xy px of every cell of each level, for the levels' (h, w)."""
        height, width = (side * self.strides[0] for side in sizes[0])
        levels: list[Tensor] = []
        for h, w in sizes:
            columns, rows = grid_points([(h, w)], [1], like)[0].unbind(-1)
            levels.append(torch.stack((columns * (width // w), rows * (height // h)), -1))
        return levels

    def levels(self, sizes: Sequence[Sequence[int]], like: Tensor) -> list[Tensor]:
        """The anchors (a, 4) cxcywh px of each level of (h, w), cell by cell."""
        levels: list[Tensor] = []
        for cells, own in zip(self.cells(sizes, like), self.sizes, strict=True):
            halves = [(size / math.sqrt(r) / 2, size * math.sqrt(r) / 2) for r in self.ratios for size in own]
            first = like.new_tensor([(2 * round(x), 2 * round(y)) for x, y in halves])
            centres = cells[:, None].expand(-1, len(first), -1)
            levels.append(torch.cat((centres, first.expand(cells.shape[0], -1, -1)), -1).reshape(-1, 4))
        return levels

    def __call__(self, sizes: Sequence[Sequence[int]], like: Tensor) -> Tensor:
        """All anchors (a, 4) cxcywh px, level by level."""
        return torch.cat(self.levels(sizes, like))


Sides = tuple[float, float]


@dataclass(frozen=True)
class SizedAnchors:
    """Anchors of given sizes: for each level the (width, height) px of those around the middle of every cell.

    Where levels have different numbers, `evened` makes them equal.
    """

    strides: tuple[float, ...]
    sides: tuple[tuple[Sides, ...], ...]

    @property
    def per_cell(self) -> int:
        """The largest number of anchors in a cell of any level."""
        return max(map(len, self.sides))

    def __call__(self, sizes: Sequence[Sequence[int]], like: Tensor) -> Tensor:
        """All anchors (a, 4) cxcywh px, cell by cell, for each level's (h, w)."""
        levels: list[Tensor] = []
        for size, stride, sides in zip(sizes, self.strides, self.sides, strict=True):
            cells, _ = grid_points([size], [stride], like, 0.5)
            boxes = like.new_tensor(sides).expand(cells.shape[0], -1, -1)
            levels.append(torch.cat((cells[:, None].expand_as(boxes), boxes), -1).reshape(-1, 4))
        return torch.cat(levels)

    def each(self, values: Sequence[float], sizes: Sequence[Sequence[int]], like: Tensor) -> Tensor:
        """One value a level, once for each of its anchors: (a, 1)."""
        counts = [len(sides) * h * w for sides, (h, w) in zip(self.sides, sizes, strict=True)]
        return torch.cat([like.new_full((count, 1), value) for count, value in zip(counts, values, strict=True)])

    def evened(self, values: Tensor, sizes: Sequence[Sequence[int]]) -> Tensor:
        """Values (n, a, c) of all anchors with zeros behind those of every cell that has fewer than `per_cell`."""
        levels: list[Tensor] = []
        counts = [len(sides) * size[0] * size[1] for sides, size in zip(self.sides, sizes, strict=True)]
        for level, sides in zip(values.split(counts, 1), self.sides, strict=True):
            cells = level.unflatten(1, (-1, len(sides)))
            levels.append(F.pad(cells, (0, 0, 0, self.per_cell - len(sides))).flatten(1, 2))
        return torch.cat(levels, 1)


def prior_boxes(
    strides: Sequence[float], sizes: Sequence[float], ratios: Sequence[Sequence[float]], *, most: float = math.inf
) -> SizedAnchors:
    """SSD's anchors: squares of a level's size and of its mean with the next one, and boxes of the ratios.

    Liu et al., arXiv 1512.02325, section 2.2. There is one size more than there are levels. Sides are `most` px
    at most.
    """
    levels: list[tuple[tuple[float, float], ...]] = []
    for size, larger, level in zip(sizes, sizes[1:], ratios, strict=False):
        mean = math.sqrt(size * larger)
        boxes = [(size, size), (mean, mean)]
        for ratio in level:
            root = math.sqrt(ratio)
            boxes += [(size * root, size / root), (size / root, size * root)]
        levels.append(tuple((min(width, most), min(height, most)) for width, height in boxes))
    return SizedAnchors(tuple(strides), tuple(levels))
