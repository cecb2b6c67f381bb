"""BezierAlign over the levels of a pyramid (Liu et al., "ABCNet", arXiv 2002.10200, section 3.2).

A region lies between two cubic Bezier curves. Its 8 control points b0 to b7 go around it: b0 to b3 along the top, b4 to
b7 back along the bottom. A bin's value is one bilinear sample, at

    p(row, column) = (1 - v) * B(u; b0, b1, b2, b3) + v * B(u; b7, b6, b5, b4)
    u = column / output_width, v = row / output_height
    B(u; a, b, c, d) = (1 - u)^3 a + 3 u (1 - u)^2 b + 3 u^2 (1 - u) c + u^3 d

divided by the stride of the level, less half a cell. So no bin lies on the right end or on the bottom curve. This is
the rule of the authors' CUDA kernel with a sampling ratio of 1, with which the published networks were trained; their
CPU code leaves out the half cell.

- Level l has the stride `stride` * 2^l. A region goes to the largest l with 2^l <= side / `finest_scale` + 1e-6, else
  to 0. Its side is the distance of b0 and b7.
- A sample more than one cell outside is 0; a sample up to one cell outside takes the outermost cell.
- A region is 0 if a coordinate is NaN or more than 2^24 px from 0.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.node import node
from ..core.regions import CONSTANTS, MOST_LEVELS, aligned_pool, of_levels, placing
from ..roi_align.op import roi_align

_FARTHEST = float(2**24)


@torch.library.custom_op("detforge::bezier_align", mutates_args=())
def bezier_align(
    levels: Sequence[Tensor], curves: Tensor, output_size: Sequence[int], stride: int, finest_scale: int = 48
) -> Tensor:
    """Sample the features of each region between two curves. Reference implementation in plain torch.

    Shapes: 1 to 5 levels (n, c, h_l, w_l), finest first, of any precision; curves (n, k, 16), x and y of 8 control
    points in px of the network's input; result (n, k, c, height, width) with `output_size` (height, width).
    """
    height, width = output_size
    points = curves.unflatten(2, (8, 2))
    is_near = (points.abs() <= _FARTHEST).all(-1).all(-1)[..., None, None]
    u, v = (torch.arange(bins).to(curves) / bins for bins in (width, height))
    weights = torch.stack(((1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u**2 * (1 - u), u**3), 1)  # (width, 4)
    top, bottom = weights @ points[:, :, :4], weights @ points[:, :, 4:].flip(2)
    placed = torch.lerp(top[:, :, None], bottom[:, :, None], v[:, None, None]).flatten(2, 3)
    placed = placed.where(is_near, torch.nan)
    # Each bin is a region of RoIAlign without an extent, on the level of a square with the region's side.
    side = (points[:, :, 0] - points[:, :, 7]).norm(dim=-1, keepdim=True)
    squares = torch.cat((torch.zeros_like(side).expand(-1, -1, 2), side.expand(-1, -1, 2)), 2)
    squares = squares.repeat_interleave(height * width, 1)
    regions = placed.repeat(1, 1, 1, 2).flatten(1, 2)
    bins = roi_align(levels, squares, (1, 1), stride, 1, True, 0, finest_scale, regions)
    return bins.reshape(*curves.shape[:2], height, width, bins.shape[2]).permute(0, 1, 4, 2, 3).contiguous()


@bezier_align.register_fake
def _(levels: Sequence[Tensor], curves: Tensor, output_size: Sequence[int], *_: Any, **__: Any) -> Tensor:
    return levels[0].new_empty((*curves.shape[:2], levels[0].shape[1], *output_size))


# As in torch: each bin is a region of RoiAlign.
def _function(levels: int) -> str:
    return f"""
        <domain: "detforge", opset_import: ["" : 20]>
        BezierAlign{levels} <
            output_height, output_width, stride, finest_scale, plugin_version, plugin_namespace
        > ({of_levels("x", levels)}, curves) => (y) {{
            {CONSTANTS}
            unit = Constant <value_float = 1.0> ()
            three = Constant <value_float = 3.0> ()
            height = Constant <value_int: int = @output_height> ()
            width = Constant <value_int: int = @output_width> ()
            height_float = Cast <to = 1> (height)
            width_float = Cast <to = 1> (width)
            row_range = Range (nothing, height_float, unit)
            column_range = Range (nothing, width_float, unit)
            v_row = Div (row_range, height_float)
            v = Unsqueeze (v_row, one)
            u_row = Div (column_range, width_float)
            u = Unsqueeze (u_row, zero)
            v_rest = Sub (unit, v)
            u_rest = Sub (unit, u)
            u_square = Mul (u, u)
            u_rest_square = Mul (u_rest, u_rest)
            u_tripled = Mul (u, three)
            u_square_tripled = Mul (u_square, three)
            weight0 = Mul (u_rest_square, u_rest)
            weight1 = Mul (u_tripled, u_rest_square)
            weight2 = Mul (u_square_tripled, u_rest)
            weight3 = Mul (u_square, u)
            weights = Concat <axis = 0> (weight0, weight1, weight2, weight3)

            point_shape = Constant <value = int64[3] {{-1, 8, 2}}> ()
            points = Reshape (curves, point_shape)
            by_axis = Transpose <perm = [0, 2, 1]> (points)
            top_places = Constant <value = int64[4] {{0, 1, 2, 3}}> ()
            bottom_places = Constant <value = int64[4] {{7, 6, 5, 4}}> ()
            top_points = Gather <axis = 2> (by_axis, top_places)
            bottom_points = Gather <axis = 2> (by_axis, bottom_places)
            top = MatMul (top_points, weights)
            bottom = MatMul (bottom_points, weights)
            top_row = Unsqueeze (top, two_axes)
            bottom_row = Unsqueeze (bottom, two_axes)
            top_part = Mul (top_row, v_rest)
            bottom_part = Mul (bottom_row, v)
            between = Add (top_part, bottom_part)
            distance = Abs (points)
            farthest = Constant <value_float = {_FARTHEST}> ()
            is_near = LessOrEqual (distance, farthest)
            is_far = Not (is_near)
            far_numbers = Cast <to = 7> (is_far)
            point_axes = Constant <value = int64[2] {{1, 2}}> ()
            far_number = ReduceMax (far_numbers, point_axes)
            has_far = Cast <to = 9> (far_number)
            has_far_map = Unsqueeze (has_far, one)
            nan = Constant <value_float = nan> ()
            placed = Where (has_far_map, nan, between)
            points_last = Transpose <perm = [0, 2, 3, 1]> (placed)

            image_and_curve = Shape <end = 2> (curves)
            curve_images = Shape <end = 1> (curves)
            curves_of_image = Shape <start = 1, end = 2> (curves)
            bin_number = Mul (height, width)
            bins = Unsqueeze (bin_number, zero)
            bins_of_image = Mul (curves_of_image, bins)
            bins_shape = Concat <axis = 0> (curve_images, bins_of_image, two_axes)
            bin_points = Reshape <allowzero = 1> (points_last, bins_shape)
            regions = Concat <axis = 2> (bin_points, bin_points)
            first_place = Constant <value_int = 0> ()
            last_place = Constant <value_int = 7> ()
            first_point = Gather <axis = 1> (points, first_place)
            last_point = Gather <axis = 1> (points, last_place)
            edge = Sub (first_point, last_point)
            edge_length = ReduceL2 (edge, one)
            side_shape = Concat <axis = 0> (curve_images, curves_of_image, one)
            curve_side = Reshape <allowzero = 1> (edge_length, side_shape)
            each_bin = Concat <axis = 0> (one, one, bins)
            bin_sides = Tile (curve_side, each_bin)
            sides_shape = Concat <axis = 0> (curve_images, bins_of_image, one)
            square_side = Reshape <allowzero = 1> (bin_sides, sides_shape)
            origin = Expand (nothing, bins_shape)
            boxes = Concat <axis = 2> (origin, square_side, square_side)
            {placing(levels)}
            rois = Identity (cells)
            {aligned_pool(levels, "output_height = 1, output_width = 1, sampling_ratio = 1")}
            curve_count = ReduceProd (image_and_curve, zero)
            by_bin_shape = Concat <axis = 0> (curve_count, bins, channels)
            by_bin = Reshape <allowzero = 1> (pooled, by_bin_shape)
            by_channel = Transpose <perm = [0, 2, 1]> (by_bin)
            y_shape = Concat <axis = 0> (image_and_curve, channels, bins)
            y_float = Reshape <allowzero = 1> (by_channel, y_shape)
            y = CastLike (y_float, x0)
        }}"""


FUNCTIONS = tuple(_function(levels) for levels in range(1, MOST_LEVELS + 1))
FLOAT_INPUTS = {f"BezierAlign{levels}": (levels,) for levels in range(1, MOST_LEVELS + 1)}
"""The curves: a half-precision number is too coarse for them."""

_NODES = [node(text, (levels,)) for levels, text in enumerate(FUNCTIONS, 1)]


def to_onnx(levels: Sequence[Any], curves: Any, output_size: Sequence[int], stride: int, finest_scale: int = 48) -> Any:
    """Add the node of `bezier_align` to an exported graph. It has one axis for the bins, which is split behind it."""
    from onnxscript import opset20 as op  # Only exports need onnxscript.

    height, width = output_size
    sizes = {"output_height": height, "output_width": width, "stride": stride, "finest_scale": finest_scale}
    pooled = _NODES[len(levels) - 1](*levels, curves, **sizes)
    return op.Reshape(pooled, op.Constant(value_ints=[0, 0, 0, height, width]))


def _reference(*inputs: Tensor, output_height: int, output_width: int, stride: int, finest_scale: int) -> Tensor:
    *levels, curves = inputs
    return bezier_align(levels, curves, (output_height, output_width), stride, finest_scale).flatten(3)


REFERENCES = dict.fromkeys(FLOAT_INPUTS, _reference)
TRANSLATIONS = {torch.ops.detforge.bezier_align.default: to_onnx}
