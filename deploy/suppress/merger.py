"""The EM-Merger: one detection for each of many objects side by side (Goldman et al., "Precise Detection in Densely
Packed Scenes", arXiv 1904.00853, section 4.2). Where the paper leaves it open, the rules are those of its authors'
program (SKU-110K)."""

import math
from itertools import combinations
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_SHRUNK = 0.5  # of a box's sides; a Gaussian's deviation is half of what is left
_LEAST_HEAT = 4  # of 255: less of it divides clusters
_MOST_OBJECTS = 100  # of a cluster
_LEAST_CLUSTER, _LEAST_BOX = 3, 5  # px that the sides of a cluster and of a merged box exceed
_ELLIPSE = math.sqrt(2 * math.log(2))  # deviations; the ellipse holds half of a Gaussian
_STEPS, _LEAST_GAIN = 20, 1e-10


class Mixture(NamedTuple):
    """Gaussians: weights (k,), means (k, 2) px, covariances (k, 2, 2) px^2."""

    weights: Array
    means: Array
    covariances: Array

    def at(self, rows: Any) -> "Mixture":
        """Those of some rows."""
        return Mixture(self.weights[rows], self.means[rows], self.covariances[rows])


def winners(boxes: Array, confidence: Array, scores: Array, size: tuple[int, int]) -> Array:
    """The row of the best detection of each object.

    Boxes (n, 4) are integers xyxy px inside the image of `size` (width, height), with sides of at least 1; `confidence`
    (n,) is how hot they are, and the mean of it and the `scores` (n,) tells the best of an object.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    centres, means = boxes[:, :2] + sides / 2, 0.5 * (confidence + scores)
    free, rows = np.ones(len(boxes), bool), list[int]()
    for box in merged_boxes(boxes, confidence, size):
        own = np.flatnonzero(free & _contains(box, centres))
        free[own] = False
        if len(own):
            rows.append(own[means[own].argmax()])
    return np.array(rows, np.int64)


def merged_boxes(boxes: Array, confidence: Array, size: tuple[int, int]) -> list[Array]:
    """A box xyxy px around each Gaussian under the heat of the boxes, cluster by cluster.

    A cluster with no more boxes than objects fit into it has none: one box alone is no evidence of an object.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    shift = (sides * ((1 - _SHRUNK) / 2)).astype(np.int64)
    deviations = (sides - 2 * shift) / 2
    parts = Mixture(confidence, boxes[:, :2] + sides / 2, deviations[:, :, None] ** 2 * np.eye(2))
    heat = heat_map(boxes + np.concatenate((shift, -shift), 1), confidence, size)
    found: list[Array] = []
    for contour in cv2.findContours(heat, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        x, y, width, height = cv2.boundingRect(contour)
        own = _contains(np.array((x, y, x + width, y + height)), parts.means)
        if not own.any() or min(width, height) <= _LEAST_CLUSTER:
            continue
        typical = float(np.median((sides[own] * _SHRUNK).prod(1)))
        objects = max(1, min(round(cv2.contourArea(contour) / typical), _MOST_OBJECTS))
        if own.sum() > objects:
            patch, corner = heat[y : y + height, x : x + width], np.array((x, y))
            members = parts.at(own)
            mixture = collapsed(members._replace(means=members.means - corner), objects)
            found += [box + np.tile(corner, 2) for box in _boxes(mixture, patch)]
    return found


def heat_map(boxes: Array, confidence: Array, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The sum of a Gaussian in each box (n, 4) that reaches from 0 to its confidence, as 0..255, without its foot."""
    heat = np.zeros(size[::-1])
    for (x1, y1, x2, y2), most in zip(boxes, confidence, strict=True):
        rows, columns = (np.exp(-2 * np.linspace(-0.5, 0.5, length) ** 2) for length in (y2 - y1, x2 - x1))
        hill = np.outer(rows, columns)
        heat[y1:y2, x1:x2] += (hill - hill.min()) * (most / (hill.max() - hill.min() or 1))
    scaled: Array = (heat - heat.min()) * (255 / (heat.max() - heat.min() or 1))
    levels = scaled.round().astype(np.uint8)
    return np.where(levels > _LEAST_HEAT, levels, np.uint8(0))


def collapsed(parts: Mixture, count: int) -> Mixture:
    """The mixture of `count` Gaussians nearest to a larger one, by hard EM from `_nearest_joined`.

    If EM gets worse or does not converge, the mixture that it starts from.
    """
    parts = parts._replace(weights=parts.weights / parts.weights.sum())
    start = mixture = _nearest_joined(parts, count)
    chosen, before = _assigned(parts, mixture)[0], math.inf
    for _ in range(_STEPS):
        mixture = _fitted(parts, chosen, mixture)
        chosen, cost = _assigned(parts, mixture)
        gain, before = before - cost, cost
        if gain < 0:
            return start
        if gain <= _LEAST_GAIN:
            return mixture
    return start


def _contains(box: Array, points: Array) -> NDArray[np.bool_]:
    return np.all((points >= box[:2]) & (points <= box[2:]), axis=1)


def _nearest_joined(parts: Mixture, count: int) -> Mixture:
    """Join the two Gaussians with the nearest means until `count` are left, in the order in which they were made."""
    parts = Mixture(*(values.copy() for values in parts))
    rows = np.arange(len(parts.weights))
    apart = np.linalg.norm(parts.means[:, None] - parts.means, axis=2)
    np.fill_diagonal(apart, math.inf)
    nearest, made = apart.argmin(1), rows.copy()
    for number in range(len(rows) - count):
        stays = int(apart[rows, nearest].argmin())
        pair = np.array((stays, nearest[stays]))
        for values, joined in zip(parts, _moments(parts.at(pair)), strict=True):
            values[stays] = joined
        made[stays], made[pair[1]] = len(rows) + number, -1
        apart[pair[1]] = apart[:, pair[1]] = math.inf
        away = np.where(np.isinf(apart[stays]), math.inf, np.linalg.norm(parts.means - parts.means[stays], axis=1))
        apart[stays] = apart[:, stays] = away
        nearest = np.where(away < apart[rows, nearest], stays, nearest)
        stale = np.isin(nearest, pair)
        nearest[stale] = apart[stale].argmin(1)
    return parts.at(np.argsort(made, kind="stable")[-count:])


def _moments(parts: Mixture) -> Mixture:
    """One Gaussian with the weight, mean and covariance of several."""
    shares = parts.weights / parts.weights.sum()
    mean = shares @ parts.means
    away = parts.means - mean
    spread = parts.covariances + away[:, :, None] * away[:, None]
    return Mixture(parts.weights.sum(), mean, np.einsum("i,ijk->jk", shares, spread))


def _assigned(parts: Mixture, mixture: Mixture) -> tuple[Array, float]:
    """The Gaussian (n,) that is nearest to each part, and the mean divergence, of the axes alone less a constant."""
    given = np.diagonal(parts.covariances, axis1=1, axis2=2)[:, None]
    own = np.diagonal(mixture.covariances, axis1=1, axis2=2)
    away = parts.means[:, None] - mixture.means
    divergence = ((given + away**2) / (2 * own) + 0.5 * np.log(own / given)).sum(2)
    return divergence.argmin(1), float(parts.weights @ divergence.min(1))


def _fitted(parts: Mixture, chosen: Array, mixture: Mixture) -> Mixture:
    """Each Gaussian as its parts make it; one without parts stays."""
    weights, means, covariances = (values.copy() for values in mixture)
    for j in np.unique(chosen):
        weights[j], means[j], covariances[j] = _moments(parts.at(chosen == j))
    return Mixture(weights, means, covariances)


def _boxes(mixture: Mixture, heat: Array) -> list[Array]:
    """Boxes of two deviations to each side, inside the patch of heat, around the Gaussians that stay."""
    size = np.array(heat.shape[::-1])
    centres = mixture.means.round().astype(np.int64)
    found: list[Array] = []
    for i in _distinct(centres, mixture.covariances, heat):
        reach = 2 * np.sqrt(np.diagonal(mixture.covariances[i]))
        corners = np.concatenate((np.maximum(centres[i] - reach, 0), np.minimum(centres[i] + reach, size)))
        box = corners.round().astype(np.int64)
        if (box[2:] - box[:2] > _LEAST_BOX).all():
            found.append(box)
    return found


def _distinct(centres: Array, covariances: Array, heat: Array) -> list[int]:
    """The Gaussians that are left when, of two whose ellipses overlap, the one at the colder place goes."""
    outlines = [_outline(centre, covariance) for centre, covariance in zip(centres, covariances, strict=True)]
    gaps: list[tuple[float, int, int]] = []
    for i, j in combinations(range(len(centres)), 2):
        a, b = _outside(outlines[i], centres[j]), _outside(outlines[j], centres[i])
        gaps.append((a + b - math.dist(centres[i], centres[j]) if min(a, b) > 0 else -math.inf, i, j))
    x, y = np.clip(centres, 0, np.array(heat.shape[::-1]) - 1).T
    warmth, gone = heat[y, x], set[int]()
    for gap, i, j in sorted(gaps):
        if gap < 0 and i not in gone and j not in gone:
            gone.add(j if warmth[j] < warmth[i] else i)
    return [i for i in range(len(centres)) if i not in gone]


def _outline(centre: Array, covariance: Array) -> Array:
    """A polygon (n, 2) along the ellipse."""
    variances, axes = np.linalg.eigh(covariance)
    small, large = (round(_ELLIPSE * math.sqrt(max(variance, 0.0))) for variance in variances)
    angle = round(math.degrees(math.atan2(axes[1, 1], axes[0, 1])) % 360)
    # OpenCV's angle is that of the axis, as y points down. The authors negate it.
    return np.array(cv2.ellipse2Poly((int(centre[0]), int(centre[1])), (large, small), -angle, 0, 360, 15))


def _outside(outline: Array, point: Array) -> float:
    """How far a point is outside of a polygon, px; negative inside."""
    return -cv2.pointPolygonTest(outline, (float(point[0]), float(point[1])), True)
