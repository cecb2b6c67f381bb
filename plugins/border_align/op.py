"""BorderAlign (Qiu et al., "BorderDet", arXiv 2007.11056, equation 2).

The features of a box's four borders. Each border is sampled bilinearly at `pool_size` + 1 points, evenly from corner
to corner, and keeps the largest value of every channel:

    y(c, box, side) = max over t = 0..pool_size of x_side(c, start_side + t / pool_size * (end_side - start_side))

The channels of x lie in four groups: top, left, bottom, right. Top and left start at (x1, y1), bottom and right
at (x2, y2). A point more than one pixel outside gives 0, one less far outside takes the outermost pixel.
"""

import torch
from torch import Tensor


@torch.library.custom_op("detforge::border_align", mutates_args=())
def border_align(x: Tensor, boxes: Tensor, pool_size: int) -> Tensor:
    """Border features of boxes, the reference in plain torch.

    Shapes: x (n, 4 * c, h, w), boxes (n, k, 4) xyxy in cells of x, result (n, c, k, 4): top, left, bottom, right.
    """
    channels = x.shape[1]
    x1, y1, x2, y2 = boxes.unbind(-1)
    # (start x, start y, run in x, run in y) of each side, each (n, k)
    w, h, none = x2 - x1, y2 - y1, torch.zeros_like(x1)
    sides = ((x1, y1, w, none), (x1, y1, none, h), (x2, y2, -w, none), (x2, y2, none, -h))
    steps = torch.arange(pool_size + 1, device=x.device, dtype=boxes.dtype) / pool_size
    pooled: list[Tensor] = []
    for values, (start_x, start_y, run_x, run_y) in zip(x.split(channels // 4, 1), sides, strict=True):
        px = start_x[..., None] + run_x[..., None] * steps
        py = start_y[..., None] + run_y[..., None] * steps
        pooled.append(_bilinear(values, px, py).amax(-1))
    return torch.stack(pooled, -1)


@border_align.register_fake
def _(x: Tensor, boxes: Tensor, pool_size: int) -> Tensor:
    return x.new_empty((x.shape[0], x.shape[1] // 4, boxes.shape[1], 4))


def _bilinear(values: Tensor, px: Tensor, py: Tensor) -> Tensor:
    """Values (n, c, h, w) at points (n, k, t) in cells: (n, c, k, t)."""
    n, channels, height, width = values.shape
    # Written so that a NaN is outside.
    inside = (px >= -1) & (px <= width) & (py >= -1) & (py <= height)
    px = px.where(inside, px.new_zeros(())).clamp(0, width - 1)
    py = py.where(inside, py.new_zeros(())).clamp(0, height - 1)
    left, top = px.floor(), py.floor()
    fx, fy = (px - left)[:, None], (py - top)[:, None]
    flat = values.flatten(2)

    def corner(row: Tensor, column: Tensor) -> Tensor:
        index = row.clamp(max=height - 1).long() * width + column.clamp(max=width - 1).long()
        picked = flat.gather(2, index.reshape(n, 1, -1).expand(-1, channels, -1))
        return picked.reshape(n, channels, *px.shape[1:])

    upper = corner(top, left) * (1 - fx) + corner(top, left + 1) * fx
    lower = corner(top + 1, left) * (1 - fx) + corner(top + 1, left + 1) * fx
    return (upper * (1 - fy) + lower * fy) * inside[:, None]
