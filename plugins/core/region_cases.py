"""Inputs of test cases that the operators on regions share."""

import numpy as np

from .case import Arrays


def random_regions(finest: tuple[int, int, int, int], levels: int, count: int, stride: int) -> Arrays:
    """Levels from `finest` (n, c, h, w) on, boxes of all sizes, some in part outside, and regions around them."""
    rng = np.random.default_rng(0)
    n, channels, height, width = finest
    maps = [
        rng.standard_normal((n, channels, max(1, height >> i), max(1, width >> i))).astype(np.float32)
        for i in range(levels)
    ]
    image = stride * np.array([width, height])
    sides = np.exp(rng.uniform(0, np.log(1.2 * image.min()), (n, count, 2)))
    centres = rng.uniform(0, 1, sides.shape) * image
    boxes = np.concatenate((centres - sides / 2, centres + sides / 2), 2).astype(np.float32)
    regions = np.concatenate((centres - sides / 1.7, centres + sides / 1.7), 2).astype(np.float32)
    return *maps, boxes, regions


def _small() -> Arrays:
    return random_regions((1, 3, 12, 10), 2, 16, 4)


def on_cells() -> Arrays:
    """Corners on cells of two levels, and on the limit between them."""
    *levels, boxes, _ = _small()
    boxes = boxes.round() // 4 * 4
    boxes[0, :4] = [[0, 0, 12, 12], [4, 8, 28, 32], [-8, -8, 4, 4], [0, 0, 24, 24]]
    return *levels, boxes, boxes


def hostile() -> Arrays:
    """Boxes that are empty, inverted, far away, infinite or NaN, in part or as a whole."""
    *levels, boxes, regions = _small()
    rng = np.random.default_rng(1)
    far = np.array([1e30, -1e30, np.inf, -np.inf, np.nan], np.float32)
    for x in (boxes, regions):
        x[:, :8] = np.where(rng.random((8, 4)) < 0.4, rng.choice(far, (8, 4)), x[:, :8])
        x[:, 8] = 0
        x[:, 9:11] = x[:, 9:11, [2, 3, 0, 1]]
        x[:, 11:] = far[:, None]
    return *levels, boxes, regions


def not_a_number() -> Arrays:
    """A NaN is in the bins that it has a weight in, and in no other."""
    *levels, boxes, regions = _small()
    levels[0][0, 1, 5, 5] = np.nan
    return *levels, boxes, regions
