"""The similarity of poses (OKS), and suppression of duplicates by it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..columns.keypoints import Keypoints
from ..contract.suppression import Suppress
from ..results.instances import Instances


def oks(
    keypoints: NDArray[Any], areas: NDArray[Any], sigmas: Sequence[float], least_score: float | None = None
) -> NDArray[np.float64]:
    """The object keypoint similarity (n, n) of each pair of poses, 0..1.

    `keypoints` (n, k, 3) are x and y in px and a score, `areas` (n,) are in px^2, `sigmas` (k,) are a Skeleton's. The
    OKS is the mean over keypoints of exp(-d^2 / (2 (2 sigma)^2 area)), as in COCO's evaluation, with the mean of both
    areas. With `least_score` the mean is over the keypoints whose score is above it in both poses, 0 if there are none,
    as with mmpose's `vis_thr`. A keypoint with an undefined position contributes 0.
    """
    similarities = np.empty((len(keypoints), len(keypoints)))
    _native.oks(*_poses(keypoints, areas, sigmas), least_score, similarities)
    return similarities


def hard(found: Instances, rule: Suppress) -> Instances:
    """NMS: removes a pose if its OKS with a better one is above `rule.oks`."""
    return _nms(found, rule, rule.oks)


def none(found: Instances, rule: Suppress) -> Instances:
    """No suppression, only the order, `conf` and `max_det`."""
    return _nms(found, rule, 2.0)  # no OKS is above 1


def linear(found: Instances, rule: Suppress) -> Instances:
    """Soft-NMS: an OKS of at least `rule.oks` multiplies the score by 1 - OKS."""
    return _soft_nms(found, rule, None)


def gaussian(found: Instances, rule: Suppress) -> Instances:
    """Soft-NMS: every OKS multiplies the score by exp(-OKS^2 / `rule.sigma`).

    `sigma` is the threshold of mmpose's `soft_oks_nms`. On unsuppressed detections this is the soft-NMS of keypoints in
    CCM (Zhang et al., arXiv 2002.00537).
    """
    return _soft_nms(found, rule, rule.sigma)


# mmpose and Microsoft's code use the decayed scores for ordering only, and report the original scores. The visibility
# threshold of Microsoft's code applies to the keypoints of the second pose only.
RULES: dict[str, Callable[[Instances, Suppress], Instances]] = {
    "oks": hard,
    "oks_linear": linear,
    "oks_gaussian": gaussian,
    "none": none,
}


def _nms(found: Instances, rule: Suppress, threshold: float) -> Instances:
    poses, areas, sigmas = _compared(found)
    kept = _native.oks_nms(poses, found.scores, areas, sigmas, None, threshold, rule.conf, rule.max_det)
    return found[kept]


def _soft_nms(found: Instances, rule: Suppress, sigma: float | None) -> Instances:
    """Take the best remaining pose and decay the scores of the others, until `rule.max_det` are taken."""
    poses, areas, sigmas = _compared(found)
    kept, scores = _native.soft_oks_nms(
        poses, found.scores, areas, sigmas, None, rule.oks, sigma, rule.conf, rule.max_det
    )
    return replace(found[kept], scores=scores)


def _compared(found: Instances) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    column = found.columns["keypoints"]
    assert isinstance(column, Keypoints)
    return _poses(column.values, column.areas, column.skeleton.sigmas)


def _poses(
    keypoints: NDArray[Any], areas: NDArray[Any], sigmas: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    return (
        np.ascontiguousarray(keypoints, np.float32),
        np.ascontiguousarray(areas, np.float64),
        np.array(sigmas, np.float64),
    )
