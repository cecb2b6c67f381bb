"""Test cases of the four corner pools."""

from functools import partial

import numpy as np

from ..core.case import Arrays, Case

_SHAPES = {
    "typical": (2, 3, 11, 14),
    "one pixel": (1, 2, 1, 1),
    "one row": (1, 3, 1, 70),
    "one column": (1, 3, 70, 1),
    "odd": (1, 9, 33, 35),
    "wider than a block": (1, 1, 5, 1100),
    "higher than a block": (1, 1, 1100, 5),
    "no images": (0, 3, 4, 5),
    "no rows": (1, 3, 0, 5),
}


def _inputs(shape: tuple[int, ...], special: bool) -> Arrays:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    if special:
        x.ravel()[rng.choice(x.size, 12, replace=False)] = np.repeat([np.nan, np.inf, -np.inf], 4)
    return (x,)


def _cases(op: str) -> list[Case]:
    cases = [Case(name, op, partial(_inputs, shape, False), {}) for name, shape in _SHAPES.items()]
    return [*cases, Case("not finite", op, partial(_inputs, (2, 2, 8, 9), True), {})]


CASES = tuple(case for op in ("TopPool", "BottomPool", "LeftPool", "RightPool") for case in _cases(op))
