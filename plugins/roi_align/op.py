"""RoIAlign over the levels of a pyramid (He et al., arXiv 1703.06870; level rule: Lin et al., arXiv 1612.03144, eq. 1).

A region is divided into bins. A bin's value is the mean of its equidistant samples, which are bilinear:

    y(bin) = 1 / (m * n) * sum over i < m, j < n of x_level(top + (i + 0.5) / m * height, left + (j + 0.5) / n * width)

with the bin's top, left, height and width in cells of the level. m and n are the sampling ratio, or with ratio 0 the
region's height and width in cells per bin, rounded up. A sample more than one cell outside is 0; a sample up to one
cell outside takes the outermost cell.

- Level l has the stride `stride` * 2^l. A box goes to the largest l with 2^l <= sqrt(area) / `finest_scale` + 1e-6,
  else to 0. torchvision adds its epsilon to the logarithm instead, which differs in the last digits only.
- `aligned` subtracts half a cell from positions, so that cells are measured from their centres.
- A side of a region is at least `minimum` cells: 1 for torchvision's and mmdet's form that is not aligned, else 0.
- A region has no samples, and is 0, if the ratio is 0 and a side is not positive, or if a corner is NaN. Corners more
  than one map's size away from the map are moved there.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core.node import node


@torch.library.custom_op("detforge::roi_align", mutates_args=())
def roi_align(
    levels: Sequence[Tensor],
    boxes: Tensor,
    output_size: Sequence[int],
    stride: int,
    sampling_ratio: int = 0,
    aligned: bool = True,
    minimum: int = 0,
    finest_scale: int = 56,
    regions: Tensor | None = None,
) -> Tensor:
    """Pool the features of each box, from the level of its size. Reference implementation in plain torch.

    Shapes: 1 to 5 levels (n, c, h_l, w_l), finest first, of any precision; boxes (n, k, 4) xyxy in px of the network's
    input, result (n, k, c, height, width) with `output_size` (height, width). `regions` (n, k, 4) are pooled in place
    of the boxes, which then only choose the level.
    """
    regions = boxes if regions is None else regions
    n, count = boxes.shape[:2]
    channels = levels[0].shape[1]
    level = _level(boxes.reshape(-1, 4), len(levels), finest_scale)
    sizes = torch.tensor([x.shape[2:] for x in levels], device=boxes.device)[level]
    cells = regions.reshape(-1, 4) / (stride * 2**level)[:, None]
    lowest = -(sizes.flip(1).repeat(1, 2) + 2).to(cells.dtype)
    cells = torch.where(cells.isnan().any(1, keepdim=True), lowest, cells)
    cells = torch.minimum(torch.maximum(cells, lowest), -2 * lowest) - 0.5 * aligned
    axes = [
        _Axis(cells[:, axis], cells[:, axis + 2], output_size[1 - axis], sampling_ratio, minimum, sizes[:, 1 - axis])
        for axis in (0, 1)
    ]

    # Every bin is a bag of rows of one table, which has all cells of all levels.
    table = torch.cat([x.permute(0, 2, 3, 1).flatten(0, 2) for x in levels]).to(boxes.dtype)
    areas = torch.tensor([x.shape[2] * x.shape[3] for x in levels], device=boxes.device)
    image = torch.arange(n, device=boxes.device).repeat_interleave(count)
    first = (areas.cumsum(0) - areas)[level] * n + image * areas[level]
    bins = output_size[0] * output_size[1]
    samples = (axes[0].samples * axes[1].samples).repeat_interleave(bins)
    bag = torch.arange(n * count * bins, device=boxes.device).repeat_interleave(samples)
    ends = samples.cumsum(0)
    i = torch.arange(len(bag), device=boxes.device) - (ends - samples)[bag]
    region, bin_ = bag // bins, bag % bins
    across = axes[0].samples[region]
    columns, column_shares = axes[0].neighbours(region, bin_ % output_size[1], i % across)
    rows, row_shares = axes[1].neighbours(region, bin_ // output_size[1], i // across)
    index = first[region, None, None] + rows[:, :, None] * sizes[region, 1][:, None, None] + columns[:, None, :]
    share = row_shares[:, :, None] * column_shares[:, None, :] / samples[bag][:, None, None]
    pooled = F.embedding_bag(
        index.flatten(), table, 4 * (ends - samples), mode="sum", per_sample_weights=share.flatten()
    )
    return pooled.reshape(n, count, *output_size, channels).permute(0, 1, 4, 2, 3).to(levels[0].dtype).contiguous()


@roi_align.register_fake
def _(levels: Sequence[Tensor], boxes: Tensor, output_size: Sequence[int], *_: Any, **__: Any) -> Tensor:
    return levels[0].new_empty((*boxes.shape[:2], levels[0].shape[1], *output_size))


def _level(boxes: Tensor, count: int, finest_scale: int) -> Tensor:
    """The level of each box (n, 4): (n,) in 0..count - 1."""
    w, h = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).unbind(1)
    size = (w * h).sqrt() / finest_scale + 1e-6
    return (size[:, None] >= 2 ** torch.arange(1, count, device=boxes.device)).sum(1)


class _Axis:
    """The samples of regions along one axis, of which each has `samples` per bin."""

    def __init__(self, start: Tensor, end: Tensor, bins: int, ratio: int, minimum: int, size: Tensor) -> None:
        length = (end - start).clamp(min=minimum)
        self.samples = length.new_full(length.shape, ratio).long() if ratio else (length / bins).ceil().long()
        self.start, self.bin, self.size = start, length / bins, size

    def neighbours(self, region: Tensor, bin_: Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
        """The two cells of each sample (s,), and their shares: each (s, 2). A share is 0 outside."""
        bin_size, size = self.bin[region], self.size[region]
        position = self.start[region] + bin_ * bin_size + (sample + 0.5) * bin_size / self.samples[region]
        inside = (position >= -1) & (position <= size)
        position = torch.minimum(position.where(inside, 0).clamp(min=0), size - 1)
        low = position.floor()
        fraction = position - low
        cells = torch.stack((low, torch.minimum(low + 1, size - 1)), 1).long()
        return cells, torch.stack((1 - fraction, fraction), 1) * inside[:, None]


_MOST_LEVELS = 5


# Each level pools its own regions, whose results are joined and put back into the order of the boxes. Regions are
# given to RoiAlign in cells, always in its aligned form, so half a cell is added where `aligned` is 0.
def _function(levels: int) -> str:
    names = ", ".join(f"x{i}" for i in range(levels))
    doublings = ", ".join(str(2**i) for i in range(1, levels))
    choose = (
        f"""
            least = Constant <value = float[{levels - 1}] {{{doublings}}}> ()
            is_larger = GreaterOrEqual (size_column, least)
            steps = Cast <to = 7> (is_larger)
            level = ReduceSum <keepdims = 0> (steps, one)"""
        if levels > 1
        else """
            size_shape = Shape (size)
            level = ConstantOfShape <value = int64[1] {0}> (size_shape)"""
    )
    pooled = "".join(
        f"""
            number{i} = Constant <value_int = {i}> ()
            is_own{i} = Equal (level, number{i})
            found{i} = NonZero (is_own{i})
            own{i} = Squeeze (found{i}, zero)
            image{i} = Gather (image, own{i})
            scale{i} = Constant <value_float = {2.0**-i}> ()
            own_cells{i} = Gather (finest_cells, own{i})
            cells{i} = Mul (own_cells{i}, scale{i})
            height_width{i} = Shape <start = 2> (x{i})
            sides{i} = Gather (height_width{i}, width_height_order)
            sides_float{i} = Cast <to = 1> (sides{i})
            reach{i} = Add (sides_float{i}, two)
            lowest{i} = Neg (reach{i})
            highest{i} = Mul (reach{i}, two)
            is_nan{i} = IsNaN (cells{i})
            nan_number{i} = Cast <to = 7> (is_nan{i})
            nan_count{i} = ReduceMax (nan_number{i}, one)
            has_nan{i} = Cast <to = 9> (nan_count{i})
            numbers{i} = Where (has_nan{i}, lowest{i}, cells{i})
            not_below{i} = Max (numbers{i}, lowest{i})
            near{i} = Min (not_below{i}, highest{i})
            start{i} = Slice (near{i}, zero, two_axes, one)
            given_end{i} = Slice (near{i}, two_axes, four_axes, one)
            least_end{i} = Add (start{i}, least_side)
            end{i} = Max (given_end{i}, least_end{i})
            region{i} = Concat <axis = 1> (start{i}, end{i})
            moved{i} = Add (region{i}, shift)
            map{i} = Cast <to = 1> (x{i})
            pooled{i} = RoiAlign <
                coordinate_transformation_mode = "half_pixel", mode = "avg", spatial_scale = 1.0,
                output_height: int = @output_height, output_width: int = @output_width,
                sampling_ratio: int = @sampling_ratio
            > (map{i}, moved{i}, image{i})"""
        for i in range(levels)
    )

    def joined(name: str) -> str:
        return ", ".join(f"{name}{i}" for i in range(levels))

    return f"""
        <domain: "detforge", opset_import: ["" : 20]>
        RoiAlign{levels} <
            output_height, output_width, stride, sampling_ratio, aligned, minimum, finest_scale,
            plugin_version, plugin_namespace
        > ({names}, boxes, regions) => (y) {{
            zero = Constant <value = int64[1] {{0}}> ()
            one = Constant <value = int64[1] {{1}}> ()
            two_axes = Constant <value = int64[1] {{2}}> ()
            four_axes = Constant <value = int64[1] {{4}}> ()
            two = Constant <value_float = 2.0> ()
            nothing = Constant <value_float = 0.0> ()
            half = Constant <value_float = 0.5> ()
            width_height_order = Constant <value = int64[4] {{1, 0, 1, 0}}> ()
            rows = Constant <value = int64[2] {{-1, 4}}> ()

            box_rows = Reshape (boxes, rows)
            box_start = Slice (box_rows, zero, two_axes, one)
            box_end = Slice (box_rows, two_axes, four_axes, one)
            sides = Sub (box_end, box_start)
            positive_sides = Max (sides, nothing)
            area = ReduceProd <keepdims = 0> (positive_sides, one)
            side = Sqrt (area)
            finest = Constant <value_int: int = @finest_scale> ()
            finest_float = Cast <to = 1> (finest)
            ratio = Div (side, finest_float)
            little = Constant <value_float = 1e-6> ()
            size = Add (ratio, little)
            size_column = Unsqueeze (size, one)
            {choose}

            image_and_box = Shape <end = 2> (boxes)
            images = Shape <end = 1> (boxes)
            image_count = Squeeze (images)
            first_image = Constant <value_int = 0> ()
            step = Constant <value_int = 1> ()
            image_range = Range (first_image, image_count, step)
            image_column = Unsqueeze (image_range, one)
            image_of_box = Expand (image_column, image_and_box)
            flat = Constant <value = int64[1] {{-1}}> ()
            image = Reshape (image_of_box, flat)

            region_rows = Reshape (regions, rows)
            stride_number = Constant <value_int: int = @stride> ()
            stride_float = Cast <to = 1> (stride_number)
            finest_cells = Div (region_rows, stride_float)
            least_number = Constant <value_int: int = @minimum> ()
            least_side = Cast <to = 1> (least_number)
            is_aligned = Constant <value_int: int = @aligned> ()
            aligned_float = Cast <to = 1> (is_aligned)
            aligned_half = Mul (aligned_float, half)
            shift = Sub (half, aligned_half)
            {pooled}

            by_level = Concat <axis = 0> ({joined("pooled")})
            places = Concat <axis = 0> ({joined("own")})
            count = Size (places)
            place_range = Range (first_image, count, step)
            order = ScatterElements (places, places, place_range)
            in_order = Gather (by_level, order)
            channels = Shape <start = 1, end = 2> (x0)
            map_shape = Shape <start = 2> (in_order)
            bins = ReduceProd (map_shape, zero)
            y_shape = Concat <axis = 0> (image_and_box, channels, bins)
            y_float = Reshape <allowzero = 1> (in_order, y_shape)
            y = CastLike (y_float, x0)
        }}"""


FUNCTIONS = tuple(_function(levels) for levels in range(1, _MOST_LEVELS + 1))
FLOAT_INPUTS = {f"RoiAlign{levels}": (levels, levels + 1) for levels in range(1, _MOST_LEVELS + 1)}
"""The boxes and the regions: a half-precision number is too coarse for them."""

_NODES = [node(text, (levels, levels + 1)) for levels, text in enumerate(FUNCTIONS, 1)]


def to_onnx(
    levels: Sequence[Any],
    boxes: Any,
    output_size: Sequence[int],
    stride: int,
    sampling_ratio: int = 0,
    aligned: bool = True,
    minimum: int = 0,
    finest_scale: int = 56,
    regions: Any = None,
) -> Any:
    """Add the node of `roi_align` to an exported graph. It has one axis for the bins, which is split behind it."""
    from onnxscript import opset20 as op  # Only exports need onnxscript.

    height, width = output_size
    pooled = _NODES[len(levels) - 1](
        *levels,
        boxes,
        boxes if regions is None else regions,
        output_height=height,
        output_width=width,
        stride=stride,
        sampling_ratio=sampling_ratio,
        aligned=int(aligned),
        minimum=minimum,
        finest_scale=finest_scale,
    )
    return op.Reshape(pooled, op.Constant(value_ints=[0, 0, 0, height, width]))


def _reference(
    *inputs: Tensor,
    output_height: int,
    output_width: int,
    stride: int,
    sampling_ratio: int,
    aligned: int,
    minimum: int,
    finest_scale: int,
) -> Tensor:
    *levels, boxes, regions = inputs
    sizes = (output_height, output_width), stride, sampling_ratio, bool(aligned), minimum, finest_scale
    return roi_align(levels, boxes, *sizes, regions.clone()).flatten(3)


REFERENCES = dict.fromkeys(FLOAT_INPUTS, _reference)
TRANSLATIONS = {torch.ops.detforge.roi_align.default: to_onnx}
