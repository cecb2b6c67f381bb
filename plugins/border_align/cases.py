"""Test cases of BorderAlign."""

from functools import partial

import numpy as np

from ..core.case import Arrays, Case

# (n, 4 * c, h, w) of x, boxes per image, pool_size
_SIZES = {
    "typical": ((2, 12, 13, 17), 23, 10),
    "odd channels": ((1, 4 * 21, 9, 8), 19, 5),
    "more channels than a tile": ((1, 4 * 67, 5, 6), 3, 3),
    "vectors of 8 channels": ((1, 4 * 136, 5, 6), 5, 3),
    "vectors of 4 channels": ((1, 4 * 12, 5, 6), 5, 3),
    "one channel": ((1, 4, 16, 20), 16, 10),
    "one box": ((3, 8, 7, 6), 1, 7),
    "one pixel": ((1, 8, 1, 1), 9, 4),
    "one row": ((1, 8, 1, 21), 9, 10),
    "one column": ((1, 8, 21, 1), 9, 10),
    "ends only": ((1, 8, 6, 7), 9, 1),
    "many samples": ((1, 4, 15, 15), 5, 100),
    "no images": ((0, 8, 6, 7), 9, 10),
    "no boxes": ((1, 8, 6, 7), 0, 10),
    "no channels": ((1, 0, 6, 7), 9, 10),
}


def _features(shape: tuple[int, ...], count: int) -> tuple[Arrays, np.random.Generator]:
    """x, and boxes with any corners up to three pixels outside of it."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    boxes = rng.uniform(-3, np.tile(shape[:1:-1], 2) + 2, (shape[0], count, 4)).astype(np.float32)
    return (x, boxes), rng


def _random(shape: tuple[int, ...], count: int) -> Arrays:
    return _features(shape, count)[0]


def _on_pixels() -> Arrays:
    """Samples exactly on pixels, at the last position inside and at the first one outside."""
    (x, boxes), _ = _features((1, 8, 6, 7), 40)
    return x, boxes.round()


def _far_out() -> Arrays:
    """Boxes that are far away, infinite or NaN, in part or as a whole."""
    (x, boxes), rng = _features((1, 8, 6, 7), 40)
    far = np.array([1e30, -1e30, np.inf, -np.inf, np.nan], np.float32)
    boxes[:, :20, :] = np.where(rng.random((20, 4)) < 0.4, rng.choice(far, (20, 4)), boxes[:, :20])
    boxes[:, 20:25] = far[:, None]
    boxes[:, 25:27] = [[1e4], [-1e9]]
    return x, boxes


def _no_area() -> Arrays:
    (x, boxes), _ = _features((1, 8, 6, 7), 20)
    boxes[..., 2:] = boxes[..., :2]
    return x, boxes


def _not_a_number() -> Arrays:
    """A NaN is the maximum of the borders that sample it, and of no other."""
    (x, boxes), rng = _features((1, 8, 6, 7), 20)
    x.ravel()[rng.choice(x.size, 10, replace=False)] = np.nan
    x[..., 0, 0] = np.nan  # A wrong clamp would move outside samples here.
    return x, boxes


_OTHERS = {
    "on pixels": _on_pixels,
    "far out": _far_out,
    "no area": _no_area,
    "not a number": _not_a_number,
}

CASES = (
    *(
        Case(name, "BorderAlign", partial(_random, shape, count), {"pool_size": pool_size})
        for name, (shape, count, pool_size) in _SIZES.items()
    ),
    *(Case(name, "BorderAlign", inputs, {"pool_size": 4}) for name, inputs in _OTHERS.items()),
)
