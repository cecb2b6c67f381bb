"""Precise RoI pooling over the levels of a pyramid (Jiang et al., "IoU-Net", arXiv 1807.11590, equation 5).

A region is divided into bins. A bin's value is the mean of the bilinear surface through the cells over the bin:

    y(bin) = 1 / area * integral over the bin of sum over cells of x_level(cell) * max(0, 1 - |u|) * max(0, 1 - |v|)

with (u, v) the distance from the cell. Cells lie at integer positions, and no half cell is subtracted. Around the map
the surface falls to 0 over one cell. The integral is a product of one for rows and one for columns. It is exact, so the
result is continuous in the region's corners.

The level rule, and what becomes of NaN and of corners far away, are those of `roi_align`. A region without area is 0.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.node import node
from ..core.regions import MOST_LEVELS, Taps, place, pool, tapped


@torch.library.custom_op("detforge::prroi_pool", mutates_args=())
def prroi_pool(
    levels: Sequence[Tensor],
    boxes: Tensor,
    output_size: Sequence[int],
    stride: int,
    finest_scale: int = 56,
    regions: Tensor | None = None,
) -> Tensor:
    """Pool the features of each box exactly, from the level of its size. Reference implementation in plain torch.

    Shapes: 1 to 5 levels (n, c, h_l, w_l), finest first, of any precision; boxes (n, k, 4) xyxy in px of the network's
    input, result (n, k, c, height, width) with `output_size` (height, width). `regions` (n, k, 4) are pooled in place
    of the boxes, which then only choose the level.
    """
    placed = place(levels, boxes, boxes if regions is None else regions, stride, finest_scale)
    left, top, right, bottom = placed.cells.unbind(1)
    height, width = placed.sizes.unbind(1)
    rows = _taps(top, bottom, output_size[0], height)
    columns = _taps(left, right, output_size[1], width)
    return pool(levels, placed, rows, columns, output_size, boxes.shape[1])


@prroi_pool.register_fake
def _(levels: Sequence[Tensor], boxes: Tensor, output_size: Sequence[int], *_: Any, **__: Any) -> Tensor:
    return levels[0].new_empty((*boxes.shape[:2], levels[0].shape[1], *output_size))


def _taps(start: Tensor, end: Tensor, bins: int, size: Tensor) -> Taps:
    """A tap is a cell that a bin overlaps, or that lies beside it. All (r,) but `bins`."""
    bin_size = (end - start) / bins
    count = torch.where(bin_size > 0, bin_size.ceil() + 2, 0).long()
    edges = start[:, None] + torch.arange(bins + 1, device=start.device) * bin_size[:, None]
    low, high = edges[:, :-1, None], edges[:, 1:, None]
    cell = low.floor() + torch.arange(int(count.max()) if len(count) else 0, device=start.device)

    def share(start: Tensor, end: Tensor) -> Tensor:
        return (end - start).clamp(min=0) * (1 - (cell - (start + end) / 2).abs())

    rising = share(torch.maximum(low, cell - 1), torch.minimum(high, cell))
    falling = share(torch.maximum(low, cell), torch.minimum(high, cell + 1))
    inside = (cell >= 0) & (cell < size[:, None, None]) & (high > low)
    return Taps(count, cell.long(), ((rising + falling) / (high - low)).where(inside, 0))


def _axis(name: str, low: int, bins: str, size: int, axes: str) -> str:
    """The taps of one region along one axis; `axes` are those that the others have."""
    return f"""
                {name}_low = Constant <value_int = {low}> ()
                {name}_high = Constant <value_int = {low + 2}> ()
                {name}_size_place = Constant <value_int = {size}> ()
                {name}_start = Gather (region, {name}_low)
                {name}_end = Gather (region, {name}_high)
                {name}_size = Gather (region_size, {name}_size_place)
                {name}_limit = Cast <to = 1> ({name}_size)
                {name}_length = Sub ({name}_end, {name}_start)
                {name}_bins = Cast <to = 1> ({bins})
                {name}_bin = Div ({name}_length, {name}_bins)
                {name}_positive = Max ({name}_bin, nothing)
                {name}_rounded = Ceil ({name}_positive)
                {name}_most = Add ({name}_rounded, two)
                {name}_range = Range (nothing, {name}_bins, unit)
                {name}_next = Add ({name}_range, unit)
                {name}_shift = Mul ({name}_range, {name}_bin)
                {name}_next_shift = Mul ({name}_next, {name}_bin)
                {name}_from = Add ({name}_start, {name}_shift)
                {name}_to = Add ({name}_start, {name}_next_shift)
                {name}_from_column = Unsqueeze ({name}_from, one)
                {name}_to_column = Unsqueeze ({name}_to, one)
                {name}_first = Floor ({name}_from_column)
                {name}_numbers = Range (nothing, {name}_most, unit)
                {name}_cell = Add ({name}_first, {name}_numbers)
                {name}_before = Sub ({name}_cell, unit)
                {name}_after = Add ({name}_cell, unit)
                {name}_rise_from = Max ({name}_from_column, {name}_before)
                {name}_rise_to = Min ({name}_to_column, {name}_cell)
                {name}_fall_from = Max ({name}_from_column, {name}_cell)
                {name}_fall_to = Min ({name}_to_column, {name}_after)
                {_share(name, "rise")}
                {_share(name, "fall")}
                {name}_sum = Add ({name}_rise, {name}_fall)
                {name}_span = Sub ({name}_to_column, {name}_from_column)
                {name}_mean = Div ({name}_sum, {name}_span)
                {name}_is_in = GreaterOrEqual ({name}_cell, nothing)
                {name}_is_below = Less ({name}_cell, {name}_limit)
                {name}_has_length = Greater ({name}_span, nothing)
                {name}_is_near = And ({name}_is_in, {name}_is_below)
                {name}_is_tap = And ({name}_is_near, {name}_has_length)
                {name}_weight = Where ({name}_is_tap, {name}_mean, nothing)
                {name}_place = Cast <to = 7> ({name}_cell)
                {name}_axes = Constant <value = int64[2] {{{axes}}}> ()
                {name}_weights = Unsqueeze ({name}_weight, {name}_axes)
                {name}_places = Unsqueeze ({name}_place, {name}_axes)"""


def _share(name: str, part: str) -> str:
    return f"""
                {name}_{part}_span = Sub ({name}_{part}_to, {name}_{part}_from)
                {name}_{part}_length = Max ({name}_{part}_span, nothing)
                {name}_{part}_ends = Add ({name}_{part}_to, {name}_{part}_from)
                {name}_{part}_middle = Mul ({name}_{part}_ends, half)
                {name}_{part}_distance = Sub ({name}_cell, {name}_{part}_middle)
                {name}_{part}_far = Abs ({name}_{part}_distance)
                {name}_{part}_height = Sub (unit, {name}_{part}_far)
                {name}_{part} = Mul ({name}_{part}_length, {name}_{part}_height)"""


_TAPS = f"""
                unit = Constant <value_float = 1.0> ()
                {_axis("row", 1, "height", 0, "1, 3")}
                {_axis("column", 0, "width", 1, "0, 2")}"""
FUNCTIONS = tuple(
    tapped("PrRoiPool", levels, "output_height, output_width, stride, finest_scale", _TAPS)
    for levels in range(1, MOST_LEVELS + 1)
)
FLOAT_INPUTS = {f"PrRoiPool{levels}": (levels, levels + 1) for levels in range(1, MOST_LEVELS + 1)}

_NODES = [node(text, (levels, levels + 1)) for levels, text in enumerate(FUNCTIONS, 1)]


def to_onnx(
    levels: Sequence[Any],
    boxes: Any,
    output_size: Sequence[int],
    stride: int,
    finest_scale: int = 56,
    regions: Any = None,
) -> Any:
    """Add the node of `prroi_pool` to an exported graph. It has one axis for the bins, which is split behind it."""
    from onnxscript import opset20 as op  # Only exports need onnxscript.

    height, width = output_size
    inputs = (*levels, boxes, boxes if regions is None else regions)
    attributes = {"output_height": height, "output_width": width, "stride": stride, "finest_scale": finest_scale}
    pooled = _NODES[len(levels) - 1](*inputs, **attributes)
    return op.Reshape(pooled, op.Constant(value_ints=[0, 0, 0, height, width]))


def _reference(*inputs: Tensor, output_height: int, output_width: int, stride: int, finest_scale: int) -> Tensor:
    *levels, boxes, regions = inputs
    size = (output_height, output_width)
    return prroi_pool(levels, boxes, size, stride, finest_scale, regions.clone()).flatten(3)


REFERENCES = dict.fromkeys(FLOAT_INPUTS, _reference)
TRANSLATIONS = {torch.ops.detforge.prroi_pool.default: to_onnx}
