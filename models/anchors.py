"""Anchors: the sized prior boxes that some dense heads start from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .config.section import Section
from .points import grid_points


@dataclass(frozen=True)
class Anchors:
    """The anchors of every cell: each ratio (height / width) with each scale (size / stride), ratios outermost.

    They are centred at (index + centre) * stride, or half a pixel before the centre of a cell if `inclusive`:
    frameworks before 2020 included the last pixel of a box, so that its width is x2 - x1 + 1. They also rounded: mmdet
    1.x the "corners" of the first cell's anchors, maskrcnn-benchmark the sides of the "ratios" at scale 1.
    """

    strides: tuple[int, ...] = (8, 16, 32, 64, 128)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    scales: tuple[float, ...] = tuple(4 * 2 ** (i / 3) for i in range(3))
    centre: float = 0.0
    inclusive: bool = False
    rounded: Literal["nothing", "corners", "ratios"] = "nothing"

    @classmethod
    def from_config(cls, section: Section) -> "Anchors":
        """OpenMMLab's AnchorGenerator."""
        section.typed("AnchorGenerator")
        section.fixed(scale_major=True, base_sizes=None, centers=None, use_box_type=False)
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
        return cls(section.integers("strides"), ratios, scales, centre)

    @property
    def per_cell(self) -> int:
        return len(self.ratios) * len(self.scales)

    def first_cell(self, stride: int) -> list[tuple[float, float, float, float]]:
        """The anchors of one level's first cell, cxcywh px."""
        centre = self.centre * (stride - self.inclusive)
        anchors: list[tuple[float, float, float, float]] = []
        for ratio in self.ratios:
            for scale in self.scales:
                width, height = stride * scale / math.sqrt(ratio), stride * scale * math.sqrt(ratio)
                if self.rounded == "ratios":
                    unit = round(stride / math.sqrt(ratio))
                    width, height = scale * unit, scale * round(unit * ratio)
                (cx, width), (cy, height) = (self._rounded(centre, side) for side in (width, height))
                anchors.append((cx, cy, width, height))
        return anchors

    def __call__(self, sizes: Sequence[Sequence[int]], like: Tensor) -> Tensor:
        """All anchors (a, 4) cxcywh px, cell by cell in the order of `grid_points`, for each level's (h, w)."""
        levels: list[Tensor] = []
        for size, stride in zip(sizes, self.strides, strict=True):
            cells, _ = grid_points([size], [stride], like)
            first = like.new_tensor(self.first_cell(stride))
            centres = cells[:, None] + first[:, :2]
            levels.append(torch.cat((centres, first[:, 2:].expand_as(centres)), -1).reshape(-1, 4))
        return torch.cat(levels)

    def _rounded(self, centre: float, side: float) -> tuple[float, float]:
        """One axis of an anchor, with integer corners if they were rounded."""
        if self.rounded != "corners":
            return centre, side
        reach = (side - self.inclusive) / 2
        low, high = round(centre - reach), round(centre + reach)
        return (low + high) / 2, high - low + self.inclusive
