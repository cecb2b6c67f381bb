"""ExtremeNet's head (Zhou et al., "Bottom-up Object Detection by Grouping Extreme and Center Points",
arXiv 1901.08043)."""

import math

import torch
from torch import Tensor, nn

from ...plugins.corner_pool.op import bottom_pool, left_pool, right_pool, top_pool
from ..peaks import at_cells, cell_points, cell_size, top_peaks
from .corner import branch

_AXES = {"t": 3, "b": 3, "l": 2, "r": 2}
"""The axis along which an extreme edge runs: that of x at the top and bottom, that of y at the left and right."""
_RUNNING_MAX = {3: (right_pool, left_pool), 2: (bottom_pool, top_pool)}
"""The maximum at or before each cell, and at or after it."""


class ExtremeHead(nn.Module):
    """One map to heatmaps of the top, left, bottom and right points (`t`, `l`, `b`, `r`) and the centres of objects.

    `forward` gives logits `*_heats` (n, classes, h, w) of all five, `ct` for the centres, and offsets `*_regrs`
    (n, 2, h, w) in cells of the four. `decode` turns them into the network's outputs. Points are grouped at run time.
    `edge` is the weight of edge aggregation.
    """

    def __init__(self, classes: int, channels: int = 256, *, peaks: int = 40, edge: float = 0.1) -> None:
        super().__init__()
        self.peaks, self.edge = peaks, edge
        for at in (*_AXES, "ct"):
            heat = branch(channels, classes)
            nn.init.constant_(heat[1].conv.bias, -math.log(9))  # Every class starts with a score of 0.1.
            setattr(self, f"{at}_heats", heat)
        for at in _AXES:
            setattr(self, f"{at}_regrs", branch(channels, 2))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        names = [*(f"{at}_heats" for at in (*_AXES, "ct")), *(f"{at}_regrs" for at in _AXES)]
        return {name: getattr(self, name)(x) for name in names}

    def decode(self, maps: dict[str, Tensor], canvas: tuple[int, int]) -> dict[str, Tensor]:
        """The k best peaks of each side, best first, in fp32.

        `*_points` (n, k, 2) xy px, `*_cells` (n, k, 2) xy in cells, `*_scores` and `*_labels` (n, k); and `centres`
        (n, classes, h, w).
        """
        outputs: dict[str, Tensor] = {}
        for at, axis in _AXES.items():
            heat, offset = maps[f"{at}_heats"].float().sigmoid(), maps[f"{at}_regrs"].float()
            scores, labels, cells = top_peaks(aggregated(heat, axis, self.edge), self.peaks)
            places = cell_points(cells, heat)
            points = (places + at_cells(offset, cells)) * cell_size(canvas, heat)
            values = {"points": points, "scores": scores.clamp(max=1), "labels": labels, "cells": places}
            outputs |= {f"{at}_{name}": value for name, value in values.items()}
        return outputs | {"centres": maps["ct_heats"].float().sigmoid()}


def aggregated(heat: Tensor, axis: int, weight: float) -> Tensor:
    """Edge aggregation (section 4.2): scores along an edge add up where they rise towards a cell from either side.

    Shapes: heat (n, c, h, w) to the same. The sum over a run is the difference of two running sums; the one at the
    start of the last run is a running maximum, for scores are not negative.
    """
    before, after = _RUNNING_MAX[axis]
    length = heat.shape[axis]
    sums = heat.cumsum(axis)
    first, last = heat.narrow(axis, 0, 1), heat.narrow(axis, length - 1, 1)
    falls = heat < torch.cat((first, heat.narrow(axis, 0, length - 1)), axis)
    rises = heat < torch.cat((heat.narrow(axis, 1, length - 1), last), axis)
    ahead = sums - heat  # the sum over all cells before
    behind = sums.narrow(axis, length - 1, 1) - sums
    from_start = ahead - before(torch.where(falls, ahead, 0.0))
    from_end = behind - after(torch.where(rises, behind, 0.0))
    return heat + weight * from_start + weight * from_end
