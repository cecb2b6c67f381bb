"""What the operators that pool regions of a pyramid share: the torch side of regions.h, and a general ONNX function.

A bin's value is a sum over cells, whose weights are products of a row's and a column's. An operator gives them as taps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_LEVELS = 5


@dataclass(frozen=True)
class Taps:
    """The taps of regions along one axis: `places` and `weights` (r, b, m), of which each region has `count` (r,).

    b is the number of rows or columns of bins, or of all bins if each has its own. A weight of 0 may lie outside.
    """

    count: Tensor
    places: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Placed:
    """Regions on their levels: `cells` (r, 4) xyxy in cells, `level` (r,), `sizes` (r, 2) of the level's map."""

    cells: Tensor
    level: Tensor
    sizes: Tensor


def place(levels: Sequence[Tensor], boxes: Tensor, regions: Tensor, stride: int, finest_scale: int) -> Placed:
    """Put regions (n, k, 4) px on the levels of their boxes (n, k, 4).

    Corners are at most one map's size away from the map; a region with a NaN is before it.
    """
    level = level_of(boxes.reshape(-1, 4), len(levels), finest_scale)
    sizes = torch.tensor([x.shape[2:] for x in levels], device=boxes.device)[level]
    cells = regions.reshape(-1, 4) / (stride * 2**level)[:, None]
    lowest = -(sizes.flip(1).repeat(1, 2) + 2).to(cells.dtype)
    cells = torch.where(cells.isnan().any(1, keepdim=True), lowest, cells)
    return Placed(torch.minimum(torch.maximum(cells, lowest), -2 * lowest), level, sizes)


def level_of(boxes: Tensor, count: int, finest_scale: int) -> Tensor:
    """The level of each box (n, 4): (n,) in 0..count - 1."""
    w, h = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).unbind(1)
    size = (w * h).sqrt() / finest_scale + 1e-6
    return (size[:, None] >= 2 ** torch.arange(1, count, device=boxes.device)).sum(1)


def pool(
    levels: Sequence[Tensor], placed: Placed, rows: Taps, columns: Taps, output_size: Sequence[int], count: int
) -> Tensor:
    """Sum the taps of every bin: (n, count, c, *output_size), in the precision of the regions."""
    n, channels = levels[0].shape[:2]
    device, height, width = placed.cells.device, *output_size
    # Every bin is a bag of rows of one table, which has all cells of all levels, and a row of zeros.
    cells = [x.permute(0, 2, 3, 1).flatten(0, 2) for x in levels]
    table = torch.cat([*cells, cells[0].new_zeros(1, channels)]).to(placed.cells.dtype)
    areas = torch.tensor([x.shape[2] * x.shape[3] for x in levels], device=device)
    image = torch.arange(n, device=device).repeat_interleave(count)
    first = (areas.cumsum(0) - areas)[placed.level] * n + image * areas[placed.level]
    bins = height * width
    each = (rows.count * columns.count).repeat_interleave(bins)
    ends = each.cumsum(0)
    bag = torch.arange(n * count * bins, device=device).repeat_interleave(each)
    i = torch.arange(len(bag), device=device) - (ends - each)[bag]
    region, bin_, across = bag // bins, bag % bins, columns.count[bag // bins]
    row = (region, bin_ if rows.places.shape[1] == bins else bin_ // width, i // across)
    column = (region, bin_ if columns.places.shape[1] == bins else bin_ % width, i % across)
    weight = rows.weights[row] * columns.weights[column]
    index = first[region] + rows.places[row] * placed.sizes[region, 1] + columns.places[column]
    index = index.where(weight != 0, len(table) - 1)
    pooled = F.embedding_bag(index, table, ends - each, mode="sum", per_sample_weights=weight)
    return pooled.reshape(n, count, height, width, channels).permute(0, 1, 4, 2, 3).to(levels[0].dtype).contiguous()


def of_levels(name: str, levels: int) -> str:
    """The names of a tensor of each level, such as "x0, x1"."""
    return ", ".join(f"{name}{i}" for i in range(levels))


CONSTANTS = """
            number_zero = Constant <value_int = 0> ()
            number_one = Constant <value_int = 1> ()
            zero = Constant <value = int64[1] {0}> ()
            one = Constant <value = int64[1] {1}> ()
            two_axes = Constant <value = int64[1] {2}> ()
            four_axes = Constant <value = int64[1] {4}> ()
            nothing = Constant <value_float = 0.0> ()
            half = Constant <value_float = 0.5> ()
            two = Constant <value_float = 2.0> ()
            rows_of_four = Constant <value = int64[2] {-1, 4}> ()
            rows_of_two = Constant <value = int64[2] {-1, 2}> ()"""
"""Nodes that every function of these operators starts with."""


def placing(levels: int) -> str:
    """Nodes that put regions on levels, as `place` does: `level` (r,), `image` (r,), `cells` (r, 4), `sizes` (r, 2).

    They read x0, ..., boxes, regions, the CONSTANTS, and the attributes `stride` and `finest_scale`.
    """
    doublings = ", ".join(str(2**i) for i in range(1, levels))
    choose = (
        f"""
            least = Constant <value = float[{levels - 1}] {{{doublings}}}> ()
            is_larger = GreaterOrEqual (size_column, least)
            steps = Cast <to = 7> (is_larger)
            level = ReduceSum <keepdims = 0> (steps, one)"""
        if levels > 1
        else """
            box_count = Shape (size)
            level = ConstantOfShape <value = int64[1] {0}> (box_count)"""
    )
    map_sizes = "".join(f"\n            map_size{i} = Shape <start = 2> (x{i})" for i in range(levels))
    return f"""
            box_rows = Reshape (boxes, rows_of_four)
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
            image_range = Range (number_zero, image_count, number_one)
            image_column = Unsqueeze (image_range, one)
            image_of_box = Expand (image_column, image_and_box)
            flat = Constant <value = int64[1] {{-1}}> ()
            image = Reshape (image_of_box, flat)
            {map_sizes}
            map_sizes_flat = Concat <axis = 0> ({of_levels("map_size", levels)})
            map_sizes = Reshape (map_sizes_flat, rows_of_two)
            sizes = Gather (map_sizes, level)

            region_rows = Reshape (regions, rows_of_four)
            stride_number = Constant <value_int: int = @stride> ()
            stride_float = Cast <to = 1> (stride_number)
            finest_cells = Div (region_rows, stride_float)
            scales = Constant <value = float[{levels}] {{{", ".join(str(2.0**-i) for i in range(levels))}}}> ()
            scale = Gather (scales, level)
            scale_column = Unsqueeze (scale, one)
            given_cells = Mul (finest_cells, scale_column)
            width_height_order = Constant <value = int64[4] {{1, 0, 1, 0}}> ()
            limits = Gather <axis = 1> (sizes, width_height_order)
            limits_float = Cast <to = 1> (limits)
            reach = Add (limits_float, two)
            lowest = Neg (reach)
            highest = Mul (reach, two)
            is_nan = IsNaN (given_cells)
            nan_number = Cast <to = 7> (is_nan)
            nan_count = ReduceMax (nan_number, one)
            has_nan = Cast <to = 9> (nan_count)
            numbers = Where (has_nan, lowest, given_cells)
            not_below = Max (numbers, lowest)
            cells = Min (not_below, highest)"""


def aligned_pool(levels: int, sizes: str) -> str:
    """Nodes that pool each of `rois` (r, 4) in cells from its `level`: `pooled` (r, c, height, width).

    ONNX's RoiAlign pools them in its aligned form; `sizes` are its attributes for the output and the samples. The
    results of the levels are joined and put back into the order of the regions.
    """
    own = "".join(
        f"""
            number{i} = Constant <value_int = {i}> ()
            is_own{i} = Equal (level, number{i})
            found{i} = NonZero (is_own{i})
            own{i} = Squeeze (found{i}, zero)
            image{i} = Gather (image, own{i})
            roi{i} = Gather (rois, own{i})
            map{i} = Cast <to = 1> (x{i})
            pooled{i} = RoiAlign <
                coordinate_transformation_mode = "half_pixel", mode = "avg", spatial_scale = 1.0, {sizes}
            > (map{i}, roi{i}, image{i})"""
        for i in range(levels)
    )
    return f"""{own}
            by_level = Concat <axis = 0> ({of_levels("pooled", levels)})
            places = Concat <axis = 0> ({of_levels("own", levels)})
            count = Size (places)
            place_range = Range (number_zero, count, number_one)
            order = ScatterElements (places, places, place_range)
            pooled = Gather (by_level, order)
            channels = Shape <start = 1, end = 2> (x0)"""


def tapped(name: str, levels: int, attributes: str, taps: str, more_inputs: str = "") -> str:
    """The function of a node that sums taps, region by region.

    `taps` are nodes that find the taps of region `i` from `region` (4,) in cells and `region_size` (2,). They give
    `row_places`, `row_weights`, `column_places` and `column_weights`, each (height or 1, width or 1, rows or 1,
    columns or 1). A weight of 0 may lie outside.
    """
    table = "".join(
        f"""
            last{i} = Transpose <perm = [0, 2, 3, 1]> (x{i})
            map_cells{i} = ReduceProd (map_size{i}, zero)
            all_cells{i} = Mul (map_cells{i}, images)
            table_shape{i} = Concat <axis = 0> (all_cells{i}, channels)
            rows{i} = Reshape <allowzero = 1> (last{i}, table_shape{i})"""
        for i in range(levels)
    )
    return f"""
        <domain: "detforge", opset_import: ["" : 20]>
        {name}{levels} <{attributes}, plugin_version, plugin_namespace>
            ({of_levels("x", levels)}, boxes, regions{more_inputs}) => (y) {{
            {CONSTANTS}
            {placing(levels)}
            height = Constant <value_int: int = @output_height> ()
            width = Constant <value_int: int = @output_width> ()
            channels = Shape <start = 1, end = 2> (x0)
            {table}
            zero_shape = Concat <axis = 0> (one, channels)
            x_zero = CastLike (nothing, x0)
            zero_row = Expand (x_zero, zero_shape)
            table_given = Concat <axis = 0> ({of_levels("rows", levels)}, zero_row)
            table = Cast <to = 1> (table_given)
            table_count = Shape <end = 1> (table)
            last_row = Sub (table_count, one)

            areas = ReduceProd <keepdims = 0> (map_sizes, one)
            ends = CumSum (areas, number_zero)
            starts = Sub (ends, areas)
            level_start = Gather (starts, level)
            level_area = Gather (areas, level)
            level_first = Mul (level_start, image_count)
            image_first = Mul (image, level_area)
            first = Add (level_first, image_first)
            count = Size (level)
            goes_on = Constant <value = bool {{1}}> ()
            pooled = Loop <body = one_region (int64 i, bool before) => (bool again, float[c, b] bins) {{
                again = Identity (before)
                region = Gather (cells, i)
                region_size = Gather (sizes, i)
                region_first = Gather (first, i)
                region_width = Gather (region_size, number_one)
                {taps}
                share = Mul (row_weights, column_weights)
                line = Mul (row_places, region_width)
                place = Add (line, column_places)
                index = Add (place, region_first)
                is_unused = Equal (share, nothing)
                own_index = Where (is_unused, last_row, index)
                tap_shape = Shape <start = 2> (own_index)
                bin_shape = Shape <end = 2> (own_index)
                tap_count = ReduceProd (tap_shape, zero)
                bin_count = ReduceProd (bin_shape, zero)
                flat_shape = Concat <axis = 0> (bin_count, tap_count)
                share_shape = Concat <axis = 0> (bin_count, one, tap_count)
                flat_index = Reshape (own_index, flat_shape)
                flat_share = Reshape (share, share_shape)
                values = Gather (table, flat_index)
                sums = MatMul (flat_share, values)
                by_bin = Squeeze (sums, one)
                bins = Transpose <perm = [1, 0]> (by_bin)
            }}> (count, goes_on)
            bin_number = Mul (height, width)
            bin_axis = Unsqueeze (bin_number, zero)
            y_shape = Concat <axis = 0> (image_and_box, channels, bin_axis)
            y_float = Reshape <allowzero = 1> (pooled, y_shape)
            y = CastLike (y_float, x0)
        }}"""
