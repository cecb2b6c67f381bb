"""What forms of fields along limbs share."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..columns.keypoints import Keypoints
from ..results.instances import Instances
from .form import Contract

Limbs = tuple[tuple[int, int], ...]
"""The keypoints at the two ends of each limb."""


def mirrored_limbs(limbs: Limbs, swap: Sequence[int]) -> tuple[list[int], list[float]] | None:
    """For each limb, the one that replaces it in a mirrored image, and -1 if that has the other direction, else 1.

    `swap` is for each keypoint the one that replaces it. None if a limb has no counterpart.
    """
    order, signs = list[int](), list[float]()
    for first, second in limbs:
        ends = (swap[first], swap[second])
        if ends in limbs:
            order.append(limbs.index(ends))
            signs.append(1.0)
        elif ends[::-1] in limbs:
            order.append(limbs.index(ends[::-1]))
            signs.append(-1.0)
        else:
            return None
    return order, signs


def poses(
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    totals: NDArray[np.float32],
    card: Contract,
    size: tuple[int, int],
) -> Instances:
    """People with keypoints (n, k, 2) xy px, their scores (n, k) and the people's scores (n,), in an image of a size.

    A missing keypoint has the score 0. The area of a person is that of the box around the others.
    """
    assert card.skeleton is not None
    values = np.concatenate((points, scores[..., None]), -1).astype(np.float32)
    column = Keypoints(values, card.skeleton, np.zeros(len(values), np.float32))
    bounds = column.bounds()
    column = replace(column, areas=(bounds[:, 2:] - bounds[:, :2]).prod(1))
    return Instances.around([column], totals, np.zeros(len(values), np.int64), card.labels, size)
