"""Points to which the vectors of pixels lead, by their votes."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _native

Floats = NDArray[np.float32]
_LINALG: Any = np.linalg  # some of its functions have no complete types
_SHORT = 1e-6  # as in the native vote
_SPREAD = 0.1  # Hypotheses whose share is as much below the best one's have no part in the covariance.


class Votes(NamedTuple):
    """For each of k points its place (k, 2), the `covariances` (k, 2, 2) of its hypotheses, and the share of votes."""

    points: NDArray[np.float64]
    covariances: NDArray[np.float64]
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, places: Floats, vectors: Floats, pairs: NDArray[np.int64], cosine: float) -> "Votes":
        """The votes of pixels at `places` (n, 2) with `vectors` (n, k, 2), of any length.

        The lines of each of `pairs` (h, k, 2) of pixels cross at a hypothesis. The one with most votes wins, the first
        of equals; its voters' lines give the point, those of longer vectors more weight, as in the authors' code.
        """
        hypotheses, counts = hypotheses_of(places, vectors, pairs, cosine)
        winners = counts.argmax(0)[None]
        best = np.take_along_axis(hypotheses, winners[..., None], 0)[0]
        votes = _points_to(best, places, vectors, cosine)
        points = _nearest(best, places, vectors, votes)
        shares = counts / len(places)
        return cls(points, covariances_of(hypotheses, shares, points), shares.max(0))


def hypotheses_of(
    places: Floats, vectors: Floats, pairs: NDArray[np.int64], cosine: float
) -> tuple[Floats, NDArray[np.int32]]:
    """The hypotheses (h, k, 2), the origin where two lines do not cross, and the pixels (h, k) that point to each."""
    hypotheses = np.empty(pairs.shape, np.float32)
    counts = np.empty(pairs.shape[:2], np.int32)
    _native.vote_lines(places, vectors, pairs, cosine, hypotheses, counts)
    return hypotheses, counts


def covariances_of(hypotheses: Floats, shares: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The covariances (k, 2, 2) of hypotheses (h, k, 2) around points (k, 2), weighted by their shares of votes."""
    weights = np.where(shares >= shares.max(0) - _SPREAD, shares, 0)
    away = hypotheses - points
    return np.einsum("hk,hki,hkj->kij", weights, away, away) / (weights.sum(0) + 1e-3)[:, None, None]


def _points_to(targets: Floats, places: Floats, vectors: Floats, cosine: float) -> NDArray[np.bool_]:
    """Whether each pixel's vectors point to each target (k, 2)."""
    away = targets - places[:, None]
    lengths = _LINALG.norm(vectors, axis=2)
    distances = _LINALG.norm(away, axis=2)
    has_direction = (lengths >= _SHORT) & (distances >= _SHORT)
    return has_direction & ((away * vectors).sum(2) > cosine * lengths * distances)


def _nearest(targets: Floats, places: Floats, vectors: Floats, votes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The points (k, 2) nearest to the lines of those who vote for them; the target where they do not say."""
    normals = np.stack((vectors[..., 1], -vectors[..., 0]), 2).astype(np.float64) * votes[..., None]
    offsets = (normals * places[:, None]).sum(2)
    matrices = np.einsum("nki,nkj->kij", normals, normals)
    sides = np.einsum("nki,nk->ki", normals, offsets)
    is_certain = _LINALG.det(matrices) > 1e-9 * np.trace(matrices, axis1=1, axis2=2) ** 2
    solvable = np.where(is_certain[:, None, None], matrices, np.eye(2))
    points = _LINALG.solve(solvable, sides[..., None])[..., 0]
    return np.where(is_certain[:, None], points, targets)
