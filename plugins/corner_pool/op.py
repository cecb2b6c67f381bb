"""Corner pooling (Law and Deng, "CornerNet", arXiv 1808.01244, equations 6 and 7).

A corner of a box lies where nothing of the object is, so each place takes the largest value on its way to one border:

    top_pool     y[i, j] = max x[i:, j]     what is at or below
    bottom_pool  y[i, j] = max x[:i + 1, j]  at or above
    left_pool    y[i, j] = max x[i, j:]     at or right of
    right_pool   y[i, j] = max x[i, :j + 1]  at or left of

Shapes: (n, c, h, w) to the same. A NaN stays on its whole way.
"""

import torch
from torch import Tensor


@torch.library.custom_op("detforge::top_pool", mutates_args=())
def top_pool(x: Tensor) -> Tensor:
    """The largest value at or below each place, the reference in plain torch."""
    return _from_the_end(x, 2)


@torch.library.custom_op("detforge::bottom_pool", mutates_args=())
def bottom_pool(x: Tensor) -> Tensor:
    """The largest value at or above each place, the reference in plain torch."""
    return x.cummax(2).values


@torch.library.custom_op("detforge::left_pool", mutates_args=())
def left_pool(x: Tensor) -> Tensor:
    """The largest value at or right of each place, the reference in plain torch."""
    return _from_the_end(x, 3)


@torch.library.custom_op("detforge::right_pool", mutates_args=())
def right_pool(x: Tensor) -> Tensor:
    """The largest value at or left of each place, the reference in plain torch."""
    return x.cummax(3).values


def _from_the_end(x: Tensor, axis: int) -> Tensor:
    return x.flip(axis).cummax(axis).values.flip(axis)


for _pool in (top_pool, bottom_pool, left_pool, right_pool):
    _pool.register_fake(torch.empty_like)
