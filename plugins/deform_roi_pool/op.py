"""Deformable RoI pooling over the levels of a pyramid (Dai et al., arXiv 1703.06211, section 2.2), as D2Det has it.

A region is divided into bins, each moved by a learned shift. A bin's value is the mean of its samples, which are
bilinear, over those inside:

    y(bin) = mean over i, j < samples of x_level(top + i / samples * height, left + j / samples * width)

with the bin's moved top and left and its height and width in cells of the level. The first sample lies on the bin's
edge. Positions are corner / stride, less half a cell. A region's side is at least 0.1 cells. A sample is inside if it
is at most half a cell outside the map, where it takes the outermost cell; a bin without any is 0.

D2Det rounds the corners of its regions before, halves up, and adds 1 to x2 and y2. The level rule, and what becomes of
NaN and of corners far away, are those of `roi_align`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.node import node
from ..core.regions import MOST_LEVELS, Taps, place, pool, tapped


@torch.library.custom_op("detforge::deform_roi_pool", mutates_args=())
def deform_roi_pool(
    levels: Sequence[Tensor],
    boxes: Tensor,
    shifts: Tensor,
    output_size: Sequence[int],
    stride: int,
    samples: int,
    finest_scale: int = 56,
    regions: Tensor | None = None,
) -> Tensor:
    """Pool the features of each box in moved bins, from the level of its size. Reference implementation in plain torch.

    Shapes: 1 to 5 levels (n, c, h_l, w_l), finest first, of any precision; boxes (n, k, 4) xyxy in px of the network's
    input; shifts (n, k, 2, height, width), x then y, in widths and heights of the region; result
    (n, k, c, height, width) with `output_size` (height, width). `samples` are those of a bin along one axis. `regions`
    (n, k, 4) are pooled in place of the boxes, which then only choose the level.
    """
    placed = place(levels, boxes, boxes if regions is None else regions, stride, finest_scale)
    left, top, right, bottom = (placed.cells - 0.5).unbind(1)
    height, width = placed.sizes.unbind(1)
    dx, dy = shifts.reshape(-1, 2, *output_size).unbind(1)
    row, column = (torch.arange(bins, device=boxes.device) for bins in output_size)
    rows = _taps(top, bottom, dy, row[:, None], samples, height)
    columns = _taps(left, right, dx, column, samples, width)
    return pool(levels, placed, rows, columns, output_size, boxes.shape[1])


@deform_roi_pool.register_fake
def _(
    levels: Sequence[Tensor], boxes: Tensor, shifts: Tensor, output_size: Sequence[int], *_: Any, **__: Any
) -> Tensor:
    return levels[0].new_empty((*boxes.shape[:2], levels[0].shape[1], *output_size))


def _taps(start: Tensor, end: Tensor, shift: Tensor, bin_: Tensor, samples: int, size: Tensor) -> Taps:
    """Each sample is two taps. `shift` is (r, height, width), `bin_` the place of each bin, the others are (r,)."""
    length = (end - start).clamp(min=0.1)[:, None, None]
    step = length / bin_.numel()
    first = (bin_ * step + start[:, None, None] + shift * length).flatten(1)[:, :, None]
    position = first + torch.arange(samples, device=start.device) * (step / samples)
    limit = size[:, None, None]
    inside = (position >= -0.5) & (position <= limit - 0.5)
    position = torch.minimum(position.where(inside, 0).clamp(min=0), limit - 1)
    low = position.floor()
    fraction = position - low
    share = inside.to(low.dtype) / inside.sum(-1, keepdim=True).clamp(min=1)
    places = torch.cat((low, torch.minimum(low + 1, limit - 1)), -1).long()
    weights = torch.cat(((1 - fraction) * share, fraction * share), -1)
    return Taps(torch.full_like(size, 2 * samples), places, weights)


def _axis(name: str, low: int, bins: str, other_axis: str, size: int, tap_axis: int) -> str:
    """The taps of one region along one axis, (height, width, taps), with an axis of 1 at `tap_axis`."""
    return f"""
                {name}_low = Constant <value_int = {low}> ()
                {name}_high = Constant <value_int = {low + 2}> ()
                {name}_size_place = Constant <value_int = {size}> ()
                {name}_given_start = Gather (region, {name}_low)
                {name}_given_end = Gather (region, {name}_high)
                {name}_start = Sub ({name}_given_start, half)
                {name}_end = Sub ({name}_given_end, half)
                {name}_given_length = Sub ({name}_end, {name}_start)
                {name}_length = Max ({name}_given_length, least_length)
                {name}_size = Gather (region_size, {name}_size_place)
                {name}_limit = Cast <to = 1> ({name}_size)
                {name}_last = Sub ({name}_limit, unit)
                {name}_border = Sub ({name}_limit, half)
                {name}_bins = Cast <to = 1> ({bins})
                {name}_step = Div ({name}_length, {name}_bins)
                {name}_part = Div ({name}_step, samples_float)
                {name}_range = Range (nothing, {name}_bins, unit)
                {name}_numbers = Unsqueeze ({name}_range, {other_axis})
                {name}_places_of_bins = Mul ({name}_numbers, {name}_step)
                {name}_unmoved = Add ({name}_places_of_bins, {name}_start)
                {name}_own_shift = Gather (own_shifts, {name}_low)
                {name}_map_shift = Reshape ({name}_own_shift, map_shape)
                {name}_shift = Mul ({name}_map_shift, {name}_length)
                {name}_first = Add ({name}_unmoved, {name}_shift)
                {name}_first_column = Unsqueeze ({name}_first, two_axes)
                {name}_parts = Mul (sample_range, {name}_part)
                {name}_position = Add ({name}_first_column, {name}_parts)
                {name}_is_after = GreaterOrEqual ({name}_position, minus_half)
                {name}_is_before = LessOrEqual ({name}_position, {name}_border)
                {name}_is_in = And ({name}_is_after, {name}_is_before)
                {name}_in = Cast <to = 1> ({name}_is_in)
                {name}_in_count = ReduceSum ({name}_in, two_axes)
                {name}_divisor = Max ({name}_in_count, unit)
                {name}_share = Div ({name}_in, {name}_divisor)
                {name}_finite = Where ({name}_is_in, {name}_position, nothing)
                {name}_not_negative = Max ({name}_finite, nothing)
                {name}_clamped = Min ({name}_not_negative, {name}_last)
                {name}_cell = Floor ({name}_clamped)
                {name}_next = Add ({name}_cell, unit)
                {name}_next_cell = Min ({name}_next, {name}_last)
                {name}_fraction = Sub ({name}_clamped, {name}_cell)
                {name}_rest = Sub (unit, {name}_fraction)
                {name}_near = Mul ({name}_rest, {name}_share)
                {name}_far = Mul ({name}_fraction, {name}_share)
                {name}_weight = Concat <axis = 2> ({name}_near, {name}_far)
                {name}_cells = Concat <axis = 2> ({name}_cell, {name}_next_cell)
                {name}_place = Cast <to = 7> ({name}_cells)
                {name}_axis = Constant <value = int64[1] {{{tap_axis}}}> ()
                {name}_weights = Unsqueeze ({name}_weight, {name}_axis)
                {name}_places = Unsqueeze ({name}_place, {name}_axis)"""


_TAPS = f"""
                unit = Constant <value_float = 1.0> ()
                least_length = Constant <value_float = 0.1> ()
                minus_half = Constant <value_float = -0.5> ()
                samples_number = Constant <value_int: int = @samples> ()
                samples_float = Cast <to = 1> (samples_number)
                sample_range = Range (nothing, samples_float, unit)
                height_axis = Unsqueeze (height, zero)
                width_axis = Unsqueeze (width, zero)
                map_shape = Concat <axis = 0> (height_axis, width_axis)
                minus_one = Constant <value = int64[1] {{-1}}> ()
                shift_count = Shape <start = 3> (shifts)
                rows_shape = Concat <axis = 0> (minus_one, two_axes, shift_count)
                shift_rows = Reshape (shifts, rows_shape)
                own_shifts = Gather (shift_rows, i)
                {_axis("row", 1, "height", "one", 0, 3)}
                {_axis("column", 0, "width", "zero", 1, 2)}"""
FUNCTIONS = tuple(
    tapped("DeformRoiPool", levels, "output_height, output_width, stride, samples, finest_scale", _TAPS, ", shifts")
    for levels in range(1, MOST_LEVELS + 1)
)
FLOAT_INPUTS = {f"DeformRoiPool{levels}": (levels, levels + 1, levels + 2) for levels in range(1, MOST_LEVELS + 1)}

_NODES = [node(text, (levels, levels + 1, levels + 2)) for levels, text in enumerate(FUNCTIONS, 1)]


def to_onnx(
    levels: Sequence[Any],
    boxes: Any,
    shifts: Any,
    output_size: Sequence[int],
    stride: int,
    samples: int,
    finest_scale: int = 56,
    regions: Any = None,
) -> Any:
    """Add the node of `deform_roi_pool` to an exported graph. It has one axis for the bins, in and out."""
    from onnxscript import opset20 as op  # Only exports need onnxscript.

    height, width = output_size
    flat = op.Reshape(shifts, op.Constant(value_ints=[0, 0, 2, height * width]))
    pooled = _NODES[len(levels) - 1](
        *levels,
        boxes,
        boxes if regions is None else regions,
        flat,
        output_height=height,
        output_width=width,
        stride=stride,
        samples=samples,
        finest_scale=finest_scale,
    )
    return op.Reshape(pooled, op.Constant(value_ints=[0, 0, 0, height, width]))


def _reference(
    *inputs: Tensor, output_height: int, output_width: int, stride: int, samples: int, finest_scale: int
) -> Tensor:
    *levels, boxes, regions, shifts = inputs
    size = (output_height, output_width)
    own = shifts.unflatten(3, size)
    return deform_roi_pool(levels, boxes, own, size, stride, samples, finest_scale, regions.clone()).flatten(3)


REFERENCES = dict.fromkeys(FLOAT_INPUTS, _reference)
TRANSLATIONS = {torch.ops.detforge.deform_roi_pool.default: to_onnx}
