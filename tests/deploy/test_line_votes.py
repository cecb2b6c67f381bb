"""Votes of pixels for keypoints against the numbers of PVNet's authors, and for points that are known."""

from typing import Any

import numpy as np
import pytest
from golden.reader import load_ops

from detforge.deploy.forms.line_votes import Votes, covariances_of, hypotheses_of

CASES = {case["name"]: case for case in load_ops("line_votes")}


def arrays(case: dict[str, Any]) -> tuple[Any, ...]:
    ins = case["in"]
    return ins["coords"].astype(np.float32), ins["direct"].astype(np.float32), ins["idxs"].astype(np.int64)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("v3")])
def test_the_authors_keypoints(name: str) -> None:
    case = CASES[name]
    places, vectors, pairs = arrays(case)
    cosine, out = case["args"]["inlier_thresh"], case["out"]
    hypotheses, counts = hypotheses_of(places, vectors, pairs, cosine)
    # A pixel at the limit may be counted on either side of it.
    assert np.abs(counts - out["counts"]).max() <= 1
    assert (counts == out["counts"]).mean() > 0.99
    winners = counts.argmax(0)
    np.testing.assert_array_equal(winners, out["win_idx"])
    np.testing.assert_allclose(hypotheses[winners, np.arange(9)], out["win_pts"], atol=5e-3)
    votes = Votes.of(places, vectors, pairs, cosine)
    np.testing.assert_allclose(votes.points, out["kpt_2d"], atol=5e-3)
    np.testing.assert_allclose(votes.shares, out["counts"].max(0) / len(places))


def test_the_authors_covariances() -> None:
    case = CASES["voting_distribution"]
    places, vectors, pairs = arrays(case)
    hypotheses, counts = hypotheses_of(places, vectors, pairs, case["args"]["inlier_thresh"])
    found = covariances_of(hypotheses, counts / len(places), case["in"]["mean"].astype(np.float64))
    np.testing.assert_allclose(found, case["out"]["cov"], atol=2e-3, rtol=1e-4)


def test_lines_that_do_not_cross() -> None:
    case = CASES["degenerate_hypotheses"]
    hypotheses, _ = hypotheses_of(*arrays(case), 0.99)
    np.testing.assert_allclose(hypotheses, case["out"]["hyp"], atol=1e-4)


@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_known_points(spread: float) -> None:
    """Half of the vectors lead to the points, in other lengths each, the others anywhere."""
    draw = np.random.default_rng(3)
    places = np.stack(np.meshgrid(np.arange(40), np.arange(30)), -1).reshape(-1, 2).astype(np.float32)
    truth = np.array([[10.3, 12.7], [60.0, -8.5], [-30.0, 20.0]])
    angles = np.arctan2(*(truth - places[:, None]).transpose(2, 0, 1)[::-1]) + draw.normal(0, spread, (1200, 3))
    angles = np.where(draw.random((1200, 3)) < 0.5, angles, draw.uniform(-np.pi, np.pi, (1200, 3)))
    vectors = np.stack((np.cos(angles), np.sin(angles)), -1) * draw.uniform(0.5, 2, (1200, 3, 1))
    votes = Votes.of(places, vectors.astype(np.float32), draw.integers(0, 1200, (512, 3, 2)), 0.999)
    away = np.linalg.norm(votes.points - truth, axis=1)
    assert (away < (0.5 if spread == 0 else 4)).all()
    assert (votes.shares > 0.25).all()
    assert (np.linalg.eigvalsh(votes.covariances) >= 0).all()


def test_pixels_that_say_nothing() -> None:
    """Vectors of no length, and all along one line: no vote, and a point that is still a number."""
    places = np.array([[0, 0], [1, 0], [2, 0]], np.float32)
    for vectors in (np.zeros((3, 1, 2), np.float32), np.tile(np.array([[[1, 0]]], np.float32), (3, 1, 1))):
        votes = Votes.of(places, vectors, np.zeros((4, 1, 2), np.int64), 0.99)
        assert np.isfinite(votes.points).all()
        assert votes.shares.max() == 0
