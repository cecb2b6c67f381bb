"""Comparisons with goldens that say, where they fail, what the worst difference is and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from golden.reader import Case, Sample
from numpy.typing import NDArray
from torch import Tensor

from detforge.deploy.results.instances import Instances

SCORE, BOX = 1e-4, 0.01  # px; how far a detection may be from the reference's


@dataclass(frozen=True)
class Logarithms:
    """A tensor to compare with the logarithms of the reference's values."""

    tensor: Tensor


def assert_tensors_agree(
    samples: Mapping[str, Sample], tensors: Mapping[str, Tensor | Logarithms | None], tolerance: float
) -> None:
    """Every tensor is the reference's, within `tolerance` standard deviations; None is what the reference alone has."""
    differences = {name: _difference(sample, tensors[name]) for name, sample in samples.items()}
    worst = max(differences, key=lambda name: differences[name][0])
    size, where = differences[worst]
    assert size < tolerance, f"{worst} is {size:.2e} standard deviations off: {where}"


def assert_detections_agree(case: Case, found: Instances, lonely: float = 0.0, slack: float = 1.0) -> None:
    """Each detection has a partner among the reference's, and each of these among ours, but for a share `lonely`.

    Partners are `slack` times as far apart as is usual, at most.
    """
    assert len(found) == len(case.scores)
    if len(found) == 0:
        return
    score = np.abs(case.scores[:, None] - found.scores)
    # Processors round in other orders, which shows in boxes of thousands of px.
    box = (np.abs(case.boxes[:, None] - found.boxes) / np.maximum(1, np.abs(found.boxes) / 500)).max(-1)
    if case.keypoints is not None:
        box = np.maximum(box, np.abs(case.keypoints[:, None] - found.keypoints[..., :2]).max((-1, -2)))
    apart = np.where(case.labels[:, None] == found.labels, np.maximum(score / SCORE, box / BOX) / slack, np.inf)
    for axis, whose in ((1, "the reference's"), (0, "our")):
        nearest = np.nan_to_num(apart.min(axis), nan=np.inf)
        at = int(nearest.argmax())
        theirs, ours = (at, apart[at].argmin()) if axis else (apart[:, at].argmin(), at)
        assert np.mean(nearest >= 1) <= lonely, (
            f"{whose} detection {at} has no partner; nearest: {score[theirs, ours]:.2e} in score, "
            f"{box[theirs, ours]:.2e} px; labels, scores and boxes, the reference's first: "
            f"{case.labels[theirs]}, {found.labels[ours]}; {case.scores[theirs]:.6f}, {found.scores[ours]:.6f}; "
            f"{case.boxes[theirs]}, {found.boxes[ours]}"
        )


def assert_near(
    what: str, ours: NDArray[Any], theirs: NDArray[Any], limit: float | NDArray[Any], far: float = 0.0
) -> None:
    """Values differ from the reference's by `limit` at most, each by its own or all by one, but for a share `far`."""
    assert ours.shape == theirs.shape, what
    differences = np.abs(ours - theirs)
    shares = np.nan_to_num(differences / limit, nan=np.inf)
    worst = np.unravel_index(shares.argmax(), shares.shape)
    assert np.mean(shares > 1) <= far, (
        f"{what}: {np.mean(shares > 1):.1%} of the values are too far; the worst, {tuple(map(int, worst))}, is "
        f"{ours[worst]:.7g} and the reference's {theirs[worst]:.7g}, {differences[worst]:.2e} apart"
    )


def _difference(sample: Sample, tensor: Tensor | Logarithms | None) -> tuple[float, str]:
    if tensor is None:
        return 0.0, ""
    if isinstance(tensor, Logarithms):
        sample, tensor = sample.log(), tensor.tensor
    return sample.difference(tensor.numpy())
