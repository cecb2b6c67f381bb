"""Part affinity fields (OpenPose, Cao et al., arXiv 1812.08008, section 3.2): the direction of a limb in its cells."""

from collections.abc import Sequence

import torch
from torch import Tensor


def affinity_fields(
    people: Tensor, limbs: Sequence[tuple[int, int]], size: tuple[int, int], width: float = 1.0
) -> Tensor:
    """Fields (limbs, 2, h, w) of the unit vectors xy from a limb's first keypoint to its second, 0 elsewhere.

    `people` (n, k, 3) are xy in px of the map and a visibility; a limb counts if both ends are above 0. Its cells lie
    nearer than `width` to its line, and in the box of its ends widened by `width` and rounded, the last row and column
    excluded. Where people overlap, the field is their mean.
    """
    y, x = (torch.arange(count, dtype=people.dtype, device=people.device) for count in size)
    fields = people.new_zeros(len(limbs), 2, *size)
    for field, (first, second) in zip(fields, limbs, strict=True):
        count = people.new_zeros(size)
        for person in people:
            start, end = person[first, :2], person[second, :2]
            length = (end - start).norm()
            if not (person[first, 2] > 0 and person[second, 2] > 0 and length > 0):
                continue
            direction = (end - start) / length
            low, high = (torch.minimum(start, end) - width).round(), (torch.maximum(start, end) + width).round()
            across = direction[0] * (y[:, None] - start[1]) - direction[1] * (x - start[0])
            inside = ((x >= low[0]) & (x < high[0])) & ((y >= low[1]) & (y < high[1]))[:, None]
            inside &= across.abs() < width
            field += direction[:, None, None] * inside
            count += inside
        field /= count.clamp(min=1)
    return fields
