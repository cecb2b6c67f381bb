"""Test cases of non-maximum suppression."""

from functools import partial

import numpy as np

from ..core.case import Arrays, Case

_CLASSES, _LIMIT, _IOU = 3, 12, 0.45

# n, k
_SIZES = {
    "typical": (2, 60),
    "one box": (1, 1),
    "a word and one more": (1, 65),
    "as many as bfloat16 tells apart": (1, 256),
    "no boxes": (1, 0),
}


def _crowded(n: int, k: int) -> Arrays:
    """Boxes around a few centres, so that most overlap others of their label. Scores repeat; some are 0 or less."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(10, 90, (6, 2))[rng.integers(0, 6, (n, k))] + rng.normal(0, 4, (n, k, 2))
    sides = rng.uniform(8, 30, (n, k, 2))
    boxes = np.concatenate((centres - sides / 2, centres + sides / 2), -1)
    scores = rng.integers(-2, 40, (n, k)) / 64
    labels = rng.integers(0, _CLASSES, (n, k))
    return _float(boxes, scores, labels, [_IOU])


def _strange() -> Arrays:
    """Boxes without area, equal boxes, nested boxes, a box of another label, and scores that rank last."""
    boxes = [
        [
            [0, 0, 8, 8],
            [0, 0, 8, 8],
            [0, 0, 8, 8],
            [2, 2, 2, 6],
            [2, 2, 2, 6],
            [1, 1, 7, 8],
            [20, 0, 24, 4],
            [0, 0, 8, 8],
        ]
    ]
    scores, labels = [[0.5, 0.75, 0.5, 0.25, 0.25, 0.625, 0.125, np.nan]], [[0, 0, 1, 0, 0, 0, 2, 1]]
    return _float(boxes, scores, labels, [_IOU])


def _far_apart() -> Arrays:
    """No boxes overlap, so only the limit ends the suppression."""
    corner = np.arange(40.0)[None, :, None] * [10, 0]
    boxes = np.concatenate((corner, corner + 4), -1)
    return _float(boxes, np.random.default_rng(0).permutation(40)[None] / 64, np.zeros((1, 40)), [_IOU])


def _float(*arrays: object) -> Arrays:
    return tuple(np.asarray(each, np.float32) for each in arrays)


_INPUTS = {
    **{name: partial(_crowded, *sizes) for name, sizes in _SIZES.items()},
    "strange": _strange,
    "far apart": _far_apart,
}

CASES = (
    *(Case(name, "Nms", inputs, {"classes": _CLASSES, "limit": _LIMIT}) for name, inputs in _INPUTS.items()),
    Case("no limit", "Nms", partial(_crowded, 2, 200), {"classes": _CLASSES, "limit": 1000}),
)
