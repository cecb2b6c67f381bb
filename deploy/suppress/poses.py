"""How alike poses are, and suppression of those that are another's duplicates."""

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
    """The object keypoint similarity (n, n) of poses with each other, 0..1.

    `keypoints` (n, k, 3) are x and y in px and a score, `areas` (n,) px^2, `sigmas` (k,) a Skeleton's. It is the mean
    over keypoints of exp(-d^2 / (2 (2 sigma)^2 area)), as in COCO's evaluation, with the mean of both areas. With
    `least_score` it is that of the keypoints that score more in both poses, 0 without any, as mmpose's `vis_thr`. A
    keypoint whose place is undefined is like none.
    """
    similarities = np.empty((len(keypoints), len(keypoints)))
    _native.oks(*_poses(keypoints, areas, sigmas), least_score, similarities)
    return similarities


def hard(found: Instances, rule: Suppress) -> Instances:
    """NMS: a pose goes when a better one resembles it by an OKS above `rule.oks`."""
    return _nms(found, rule, rule.oks)


def none(found: Instances, rule: Suppress) -> Instances:
    """Only the order and the limits apply: no OKS reaches 2."""
    return _nms(found, rule, 2.0)


def linear(found: Instances, rule: Suppress) -> Instances:
    """Soft-NMS: poses of an OKS from `rule.oks` on are lowered by 1 - OKS."""
    return _soft_nms(found, rule, None)


def gaussian(found: Instances, rule: Suppress) -> Instances:
    """Soft-NMS: all poses are lowered by exp(-OKS^2 / `rule.sigma`), which mmpose's `soft_oks_nms` calls its threshold.

    On the boxes of a detector that did not suppress, this is the soft-NMS of keypoints of CCM (Zhang et al., arXiv
    2002.00537).
    """
    return _soft_nms(found, rule, rule.sigma)


# mmpose and the Microsoft code use lowered scores for the order alone, and report what they were before.
# Where the latter have a visibility threshold, only the second pose's keypoints are held to it.
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
    """The best that is left is taken before it lowers the next ones, until `rule.max_det` are taken."""
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
