"""How alike poses are, and suppression of those that are another's duplicates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from .card import Suppress


def oks(
    keypoints: NDArray[Any], areas: NDArray[Any], sigmas: Sequence[float], visible: float | None = None
) -> NDArray[np.float64]:
    """The object keypoint similarity (n, n) of poses with each other, 0..1.

    `keypoints` (n, k, 3) are x and y in px and a score, `areas` (n,) px^2, `sigmas` (k,) a Skeleton's. It is the mean
    over keypoints of exp(-d^2 / (2 (2 sigma)^2 area)), as in COCO's evaluation, with the mean of both areas. With
    `visible` it is that of the keypoints that score more in both poses, 0 without any, as mmpose's `vis_thr`. A
    keypoint whose place is undefined is like none.
    """
    similarities = np.empty((len(keypoints), len(keypoints)))
    _native.oks(*_poses(keypoints, areas, sigmas), visible, similarities)
    return similarities


def suppress_poses(
    keypoints: NDArray[Any],
    scores: NDArray[np.float32],
    areas: NDArray[Any],
    sigmas: Sequence[float],
    spec: Suppress,
    visible: float | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The indices of the poses that stay, best first, and their final scores (m,), all above `spec.conf`.

    Arrays as in `oks`; for networks that look at crops, the areas are those of the crops (Microsoft, mmpose), which are
    enlarged. "oks": a pose goes when a better one resembles it by an OKS above `spec.oks`. "oks_linear": such ones,
    and those of just that OKS, are lowered by 1 - OKS; "oks_gaussian": all are by exp(-OKS^2 / `spec.sigma`), where
    mmpose's `soft_oks_nms` calls sigma its threshold. The best that is left is taken before it lowers the next ones,
    until `spec.max_det` are taken; of equal scores the first. "none": only the order and the limits apply.

    The soft-NMS of keypoints of CCM (Zhang et al., arXiv 2002.00537) is "oks_gaussian" on boxes of a detector that did
    not suppress.
    """
    # mmpose and the Microsoft code use lowered scores for the order alone, and report what they were before.
    # Where the latter have a visibility threshold, only the second pose's keypoints are held to it.
    poses, areas_, sigmas_ = _poses(keypoints, areas, sigmas)
    if spec.kind in ("oks_linear", "oks_gaussian"):
        sigma = spec.sigma if spec.kind == "oks_gaussian" else None
        return _native.soft_oks_nms(poses, scores, areas_, sigmas_, visible, spec.oks, sigma, spec.conf, spec.max_det)
    # No OKS reaches 2, so that threshold suppresses nothing.
    threshold = spec.oks if spec.kind == "oks" else 2.0
    kept = _native.oks_nms(poses, scores, areas_, sigmas_, visible, threshold, spec.conf, spec.max_det)
    return kept, scores[kept]


def _poses(
    keypoints: NDArray[Any], areas: NDArray[Any], sigmas: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    return (
        np.ascontiguousarray(keypoints, np.float32),
        np.ascontiguousarray(areas, np.float64),
        np.array(sigmas, np.float64),
    )
