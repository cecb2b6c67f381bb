"""Keypoints of all people in an image, grouped by maps of body parts: Simple Pose (arXiv 1911.10529)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.parse import require
from ..contract.skeleton import Skeleton
from ..inputs.geometry import Size
from ..results.instances import Instances
from .form import Contract, ImageForm, Output, Run
from .limbs import Limbs, mirrored_limbs, poses

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class BodyParts(ImageForm):
    """Maps of the keypoints of all people, `heatmaps` (n, parts, h, w), and of their limbs, `limbs` (n, limbs, h, w).

    Each of `limbs` is the maps of the keypoints at its two ends, and `keypoints` is the map of each keypoint of the
    skeleton. The maps are enlarged `stride` times. Peaks of at least `least_peak`, the `top_k` best of each map, are
    linked where the limb's map is above `least_limb` at four fifths of up to 20 points. With `flip` the mirrored image
    runs too; `scales` are those at which the image runs. The maps of all runs are averaged.
    """

    limbs: Limbs
    keypoints: tuple[int, ...]
    stride: int = 4
    top_k: int = 256
    least_peak: float = 0.1
    least_limb: float = 0.1
    flip: bool = True
    scales: tuple[float, ...] = (1.0,)
    kind: Literal["body_parts"] = "body_parts"

    task: ClassVar[str] = "pose"
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("heatmaps", "map", "range"),
        Output("limbs", unit="range"),
    )
    compares: ClassVar[str] = "poses"
    has_keypoints: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(1 <= self.stride <= 64, "form.stride", "1..64")
        require(1 <= self.top_k <= 1000, "form.top_k", "1..1000")
        require(self.least_peak > 0, "form.least_peak", "a positive number")
        require(1.0 in self.scales and all(0.1 <= s <= 8 for s in self.scales), "form.scales", "0.1..8, 1 among them")
        ends = [end for limb in self.limbs for end in limb]
        require(bool(ends) and all(0 <= end < 1000 for end in ends), "form.limbs", "pairs of maps")
        once = len(self.keypoints) == len(set(self.keypoints)) and all(0 <= each < 1000 for each in self.keypoints)
        require(once, "form.keypoints", "maps, each once")

    @property
    def parts(self) -> int:
        """The number of heatmaps."""
        return 1 + max(max(self.keypoints), *(end for limb in self.limbs for end in limb))

    def check(self, skeleton: Skeleton | None) -> None:
        require(skeleton is not None, "skeleton", "keypoints")
        assert skeleton is not None
        require(len(self.keypoints) == len(skeleton.keypoints), "form.keypoints", "a map for each of the skeleton's")
        order = self._mirrored_parts(skeleton)
        require(not self.flip or mirrored_limbs(self.limbs, order) is not None, "form.limbs", "limbs of both sides")

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The people in one image, in the order in which the grouping creates them, in px of the image at scale 1.

        The score of a person is 1 - 1 / t, where t is the sum of the scores of its keypoints and limbs, and above 0.
        """
        assert card.skeleton is not None
        [frame] = {run.frame for run in runs if run.scale == 1.0}
        points, scores, totals = self.group(runs, frame.content_size, card.skeleton, runs[0].threads)
        totals = np.maximum(1 - 1 / totals, np.float32(1e-6))
        return poses(points + np.float32(0.5), scores, totals, card, frame.extent)

    def group(
        self, runs: Sequence[Run], size: Size, skeleton: Skeleton, threads: int = 1
    ) -> tuple[Floats, Floats, Floats]:
        """Group the peaks of the maps of all runs, at the size (height, width) px, into n people.

        Returns the skeleton's keypoints (n, k, 2) xy px, their scores (n, k), and the sum of the scores of all
        keypoints and limbs of each person (n,). A missing keypoint has the score 0 and is at the origin.
        """
        swap = self._mirrored_parts(skeleton)
        mirrored = mirrored_limbs(self.limbs, swap)
        given = [
            (
                np.ascontiguousarray(run.outputs["limbs"], np.float32),
                np.ascontiguousarray(run.outputs["heatmaps"], np.float32),
                np.array(mirrored[0] if run.mirrored and mirrored else range(len(self.limbs)), np.int64),
                np.array(swap if run.mirrored else range(self.parts), np.int64),
                (*run.frame.content_size, run.mirrored),
            )
            for run in runs
        ]
        limbs = np.array(self.limbs, np.int64)
        points, scores, totals = _native.group_parts(
            given, limbs, size, self.stride, self.top_k, self.least_peak, self.least_limb, threads
        )
        shown = list(self.keypoints)
        return points.reshape(-1, self.parts, 2)[:, shown], scores.reshape(-1, self.parts)[:, shown], totals

    def _mirrored_parts(self, skeleton: Skeleton) -> list[int]:
        """For each heatmap, the one that replaces it in a mirrored image: itself if the skeleton does not have it."""
        order = list(range(self.parts))
        for own, other in zip(self.keypoints, skeleton.mirrored(), strict=True):
            order[own] = self.keypoints[other]
        return order
