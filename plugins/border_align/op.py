"""BorderAlign (Qiu et al., "BorderDet", arXiv 2007.11056, equation 2).

Pools the features along a box's four borders. Each border is sampled bilinearly at `pool_size` + 1 equidistant points
from corner to corner, and the maximum of each channel is kept:

    y(c, box, side) = max over t = 0..pool_size of x_side(c, start_side + t / pool_size * (end_side - start_side))

The channels of x form four groups: top, left, bottom, right. Top and left start at (x1, y1), bottom and right at
(x2, y2). A point more than one pixel outside is 0; a point up to one pixel outside takes the outermost pixel. NaN is
the largest value.
"""

from typing import Any

import torch
from torch import Tensor

from ..core.node import node


@torch.library.custom_op("detforge::border_align", mutates_args=())
def border_align(x: Tensor, boxes: Tensor, pool_size: int) -> Tensor:
    """Border features of boxes. Reference implementation in plain torch.

    Shapes: x (n, 4 * c, h, w), boxes (n, k, 4) xyxy in cells of x, float32 or as x, result (n, c, k, 4) as x: top,
    left, bottom, right.
    """
    channels = x.shape[1]
    x1, y1, x2, y2 = boxes.unbind(-1)
    # (start x, start y, run in x, run in y) of each side, each (n, k)
    w, h, none = x2 - x1, y2 - y1, torch.zeros_like(x1)
    sides = ((x1, y1, w, none), (x1, y1, none, h), (x2, y2, -w, none), (x2, y2, none, -h))
    steps = torch.arange(pool_size + 1, device=x.device, dtype=boxes.dtype) / pool_size
    pooled: list[Tensor] = []
    groups = x.unflatten(1, (4, channels // 4)).unbind(1)
    for values, (start_x, start_y, run_x, run_y) in zip(groups, sides, strict=True):
        px = start_x[..., None] + run_x[..., None] * steps
        py = start_y[..., None] + run_y[..., None] * steps
        pooled.append(_bilinear(values, px, py).amax(-1))
    return torch.stack(pooled, -1).to(x.dtype)


@border_align.register_fake
def _(x: Tensor, boxes: Tensor, pool_size: int) -> Tensor:
    return x.new_empty((x.shape[0], x.shape[1] // 4, boxes.shape[1], 4))


def _bilinear(values: Tensor, px: Tensor, py: Tensor) -> Tensor:
    """Values (n, c, h, w) at points (n, k, t) in cells: (n, c, k, t)."""
    n, channels, height, width = values.shape
    # This form of the comparison treats NaN as outside.
    inside = (px >= -1) & (px <= width) & (py >= -1) & (py <= height)
    px = px.where(inside, px.new_zeros(())).clamp(0, width - 1)
    py = py.where(inside, py.new_zeros(())).clamp(0, height - 1)
    left, top = px.floor(), py.floor()
    fx, fy = (px - left)[:, None], (py - top)[:, None]
    flat = values.flatten(2)

    def corner(row: Tensor, column: Tensor) -> Tensor:
        index = row.clamp(max=height - 1).long() * width + column.clamp(max=width - 1).long()
        picked = flat.gather(2, index.flatten(1)[:, None].expand(-1, channels, -1))
        return picked.reshape(n, channels, *px.shape[1:])

    upper = corner(top, left) * (1 - fx) + corner(top, left + 1) * fx
    lower = corner(top + 1, left) * (1 - fx) + corner(top + 1, left + 1) * fx
    return (upper * (1 - fy) + lower * fy).where(inside[:, None], values.new_zeros(()))


# GridSample coordinates: -1 and 1 are the outer edges of the first and the last pixel. Points are clamped to the
# centres of the outermost pixels; those more than one pixel outside go to 10, where GridSample returns 0. Its mode is
# linear by default and must not be written: TensorRT 10 and 11 know only the name from before opset 20, and use the
# nearest pixel for any other (NVIDIA/TensorRT#4646). The sum detects NaN, which ReduceMax may lose.
FUNCTIONS = (
    """
    <domain: "detforge", opset_import: ["" : 20]>
    BorderAlign <pool_size, plugin_version, plugin_namespace> (x, boxes) => (y) {
        zero = Constant <value_int = 0> ()
        one = Constant <value_int = 1> ()
        four = Constant <value = int64[1] {4}> ()

        sides = Constant <value = int64[4, 2] {0, 1, 0, 1, 2, 3, 2, 3}> ()
        other_ends = Constant <value = int64[4, 2] {2, 1, 0, 3, 0, 3, 2, 1}> ()
        corners = Cast <to = 1> (boxes)
        start = Gather <axis = 2> (corners, sides)
        end = Gather <axis = 2> (corners, other_ends)
        run = Sub (end, start)
        pool = Constant <value_int: int = @pool_size> ()
        count = Add (pool, one)
        t = Range (zero, count, one)
        t_float = Cast <to = 1> (t)
        pool_float = Cast <to = 1> (pool)
        fraction = Div (t_float, pool_float)
        last_axis = Constant <value = int64[1] {1}> ()
        step = Unsqueeze (fraction, last_axis)
        axis_of_steps = Constant <value = int64[1] {3}> ()
        starts = Unsqueeze (start, axis_of_steps)
        runs = Unsqueeze (run, axis_of_steps)
        shift = Mul (runs, step)
        points = Add (starts, shift)

        height_width = Shape <start = 2> (x)
        width_height_order = Constant <value = int64[2] {1, 0}> ()
        width_height = Gather (height_width, width_height_order)
        size = Cast <to = 1> (width_height)
        zero_float = Constant <value_float = 0.0> ()
        one_float = Constant <value_float = 1.0> ()
        minus_one = Constant <value_float = -1.0> ()
        two = Constant <value_float = 2.0> ()
        far = Constant <value_float = 10.0> ()
        not_before = GreaterOrEqual (points, minus_one)
        not_after = LessOrEqual (points, size)
        inside = And (not_before, not_after)
        last = Sub (size, one_float)
        not_negative = Max (points, zero_float)
        clamped = Min (not_negative, last)
        doubled = Mul (clamped, two)
        edges = Add (doubled, one_float)
        share = Div (edges, size)
        place = Sub (share, one_float)
        grid_by_box = Where (inside, place, far)

        n = Shape <start = 0, end = 1> (x)
        all_channels = Shape <start = 1, end = 2> (x)
        channels = Div (all_channels, four)
        groups = Mul (n, four)
        map_sizes = Concat <axis = 0> (groups, channels, height_width)
        maps = Reshape <allowzero = 1> (x, map_sizes)
        maps_float = Cast <to = 1> (maps)
        grid_by_side = Transpose <perm = [0, 2, 1, 3, 4]> (grid_by_box)
        grid_tail = Shape <start = 2> (grid_by_side)
        grid_sizes = Concat <axis = 0> (groups, grid_tail)
        grid = Reshape <allowzero = 1> (grid_by_side, grid_sizes)
        samples = GridSample <align_corners = 0, padding_mode = "zeros"> (maps_float, grid)

        samples_axis = Constant <value = int64[1] {3}> ()
        largest_number = ReduceMax <keepdims = 0> (samples, samples_axis)
        sum = ReduceSum <keepdims = 0> (samples, samples_axis)
        has_nan = IsNaN (sum)
        largest = Where (has_nan, sum, largest_number)
        box_count = Shape <start = 1, end = 2> (boxes)
        side_sizes = Concat <axis = 0> (n, four, channels, box_count)
        by_side = Reshape <allowzero = 1> (largest, side_sizes)
        pooled = Transpose <perm = [0, 2, 3, 1]> (by_side)
        y = CastLike (pooled, x)
    }""",
)

_NODE = node(FUNCTIONS[0])


def to_onnx(x: Any, boxes: Any, pool_size: int) -> Any:
    """Add the node of `border_align` to an exported graph."""
    return _NODE(x, boxes, pool_size=pool_size)


FLOAT_INPUTS = {"BorderAlign": (1,)}
REFERENCES = {"BorderAlign": border_align}
TRANSLATIONS = {torch.ops.detforge.border_align.default: to_onnx}
