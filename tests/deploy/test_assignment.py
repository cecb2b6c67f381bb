"""Assignment: against every permutation, and in its choice among equals against the published rule step by step."""

from itertools import permutations

import numpy as np
import pytest
from tag_oracle import munkres

from detforge.deploy._native import assign


def least(costs: np.ndarray) -> float:
    """The least sum of all ways to give each row a column of its own."""
    rows = np.arange(len(costs))
    return min(costs[rows, list(columns)].sum() for columns in permutations(range(costs.shape[1]), len(costs)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 3), (4, 4), (3, 6), (6, 6), (5, 7)])
@pytest.mark.parametrize("kind", ["random", "equal", "tags"])
def test_the_sum_is_the_least(shape: tuple[int, int], kind: str) -> None:
    draw = np.random.default_rng(shape[0] * 10 + shape[1])
    for _ in range(20):
        costs = draw.normal(0, 10, shape)
        if kind != "random":
            costs = np.round(costs / 10) * (0 if kind == "equal" else 100) - draw.uniform(0, 1, (shape[0], 1))
        columns = assign(costs)
        assert len(set(columns.tolist())) == len(costs)
        assert costs[np.arange(len(costs)), columns].sum() == pytest.approx(least(costs), abs=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_of_equal_sums_the_published_one_comes_out(seed: int) -> None:
    """Costs as the grouping has them: hundreds less a score, and 1e10 where candidates outnumber people."""
    draw = np.random.default_rng(seed)
    rows, known = draw.integers(1, 16, 2)
    apart = np.round(np.abs(draw.normal(0, draw.choice([0.2, 1.0, 3.0]), (rows, known))))
    costs = apart * 100 - draw.uniform(0.1, 1, (rows, 1)).astype(np.float32)
    costs = np.concatenate((costs, np.full((rows, max(0, rows - known)), 1e10)), 1)
    assert assign(costs).tolist() == munkres(costs)


def test_large_ones_end() -> None:
    draw = np.random.default_rng(0)
    crowd = np.round(np.abs(draw.normal(0, 1, (30, 510)))) * 100 - draw.uniform(0.1, 1, (30, 1))
    columns = assign(crowd)
    assert len(set(columns.tolist())) == 30
    assert columns.min() >= 0


def test_nothing_and_no_numbers() -> None:
    assert assign(np.empty((0, 3))).tolist() == []
    with pytest.raises(ValueError, match="more rows than columns"):
        assign(np.zeros((2, 1)))
    for cost in (np.nan, np.inf, -1.7e308):
        with pytest.raises(ValueError, match="finite"):
            assign(np.array([[cost]]))


def test_the_unit_of_the_costs_does_not_matter() -> None:
    costs = np.random.default_rng(0).normal(0, 10, (6, 7))
    for unit in (2.0**-900, 2.0**900):
        assert assign(costs * unit).tolist() == assign(costs).tolist()
