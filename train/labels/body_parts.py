"""Body parts of Simple Pose (Li et al., arXiv 1911.10529, section 3.1): limbs as ridges of a Gaussian."""

from collections.abc import Sequence

import torch
from torch import Tensor

_FIRST = 1.5 / 4
LEAST, LIFTED = 0.015, 0.01
"""What is lower in the box of a limb is lifted to the second value, so that its loss counts as a limb's."""


def body_part_maps(
    people: Tensor, limbs: Sequence[tuple[int, int]], size: tuple[int, int], sigma: float = 1.75
) -> Tensor:
    """Maps (limbs, h, w): 1 on the line through a limb's keypoints, and a Gaussian across it.

    `people` (n, k, 3) are xy in px of the map and a visibility; a limb counts if both ends are above 0. It fills the
    box of its ends widened by 1 px. Where boxes of two people overlap, the map is their mean; outside of them it is 0.
    The authors' `sigma` is 7 px of an image four times as large.
    """
    y, x = (torch.arange(count, dtype=people.dtype, device=people.device) for count in size)
    maps = people.new_zeros(len(limbs), *size)
    for part, (first, second) in zip(maps, limbs, strict=True):
        count = people.new_zeros(size)
        for person in people:
            start, end = person[first, :2], person[second, :2]
            along = end - start
            length = along.norm()
            if not (person[first, 2] > 0 and person[second, 2] > 0 and length > 0):
                continue
            aside = (along[0] * (y[:, None] - start[1]) - along[1] * (x - start[0])) / length
            ridge = torch.exp(-aside.square() / (2 * sigma**2))
            ridge = torch.where(ridge <= LEAST, LIFTED, ridge)
            # The authors round quarters of image px; the centre of the first cell is at 1.5 of these.
            low = (torch.minimum(start, end) + _FIRST - 1).round()
            high = (torch.maximum(start, end) + _FIRST + 1).round()
            inside = ((x >= low[0]) & (x <= high[0])) & ((y >= low[1]) & (y <= high[1]))[:, None]
            part += ridge * inside
            count += inside
        part /= count.clamp(min=1)
    return maps
