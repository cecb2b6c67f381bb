"""Pooling to a given size."""

from collections.abc import Sequence

import torch
from torch import Tensor


def adaptive_max(x: Tensor, size: Sequence[int], factor: int) -> Tensor:
    """The largest value in each of `size` = (h', w') windows that cover a map (n, c, h, w): (n, c, h', w').

    Windows are those of `torch.nn.functional.adaptive_max_pool2d`, which cannot be exported where sizes are free.
    `factor` is the ratio of the sides, apart from rounding.
    """
    for axis in (2, 3):
        before, after = x.shape[axis], size[axis - 2]
        window = torch.arange(after, device=x.device)
        first, last = window * before // after, ((window + 1) * before + after - 1) // after - 1
        taps = torch.arange(factor + 2, device=x.device)  # a window of rounded sides is up to two longer
        index = torch.minimum(first[:, None] + taps, last[:, None])
        x = x.index_select(axis, index.flatten()).unflatten(axis, (after, factor + 2)).amax(axis + 1)
    return x
