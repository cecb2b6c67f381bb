"""Test cases of the DFL decoders."""

from functools import partial

import numpy as np

from ..core.case import Arrays, Case

# n, a, r
_SIZES = {
    "typical": (2, 30, 17),
    "sixteen bins": (1, 25, 16),
    "one point": (3, 1, 17),
    "one bin": (1, 7, 1),
    "two bins": (1, 5, 2),
    "odd": (3, 37, 33),
    "many bins": (1, 6, 150),
    "no images": (0, 5, 17),
    "no points": (2, 0, 17),
}
_HOSTILE = (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e30, 88.0, -104.0)


def _logits(n: int, a: int, r: int, scale: float = 3.0) -> Arrays:
    rng = np.random.default_rng(0)
    return ((rng.standard_normal((n, a, 4 * r)) * scale).astype(np.float32),)


def _hostile() -> Arrays:
    """Sides with one special logit, sides with several, and sides of one value."""
    rng = np.random.default_rng(0)
    (logits,) = _logits(1, 24, 5)
    rows = logits.reshape(-1, 5)
    for i, value in enumerate(_HOSTILE):
        rows[i, i % 5] = value
        rows[8 + i] = value
    rows[16:64] = np.where(rng.random((48, 5)) < 0.4, rng.choice(np.array(_HOSTILE, np.float32), (48, 5)), rows[16:64])
    return (logits,)


def _with_points(logits: Arrays) -> Arrays:
    """A grid of points, four per row, with strides 8 and 16."""
    a = logits[0].shape[1]
    strides = np.where(np.arange(a) < a // 2, 8, 16).astype(np.float32)[:, None]
    points = (np.stack((np.arange(a) % 4, np.arange(a) // 4), -1) + 0.5) * strides
    return (*logits, points.astype(np.float32), strides)


_INPUTS = {
    **{name: partial(_logits, *sizes) for name, sizes in _SIZES.items()},
    "sure": partial(_logits, 1, 20, 17, 60.0),
    "very sure": partial(_logits, 1, 20, 17, 1e4),
    "hostile": _hostile,
}

CASES = tuple(
    case
    for name, inputs in _INPUTS.items()
    for case in (
        Case(name, "Dfl", inputs, {}),
        Case(name, "DflBoxes", lambda inputs=inputs: _with_points(inputs()), {}),
    )
)
