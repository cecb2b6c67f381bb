"""Keypoints of all people in an image, grouped by part affinity fields: OpenPose (arXiv 1812.08008)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.parse import require
from ..contract.skeleton import Skeleton
from ..results.instances import Instances
from .form import Contract, ImageForm, Mirror, Output, Run
from .limbs import Limbs, mirrored_limbs, poses
from .views import add_maps, same_places

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Affinity(ImageForm):
    """Heatmaps of the keypoints of all people, `heatmaps` (n, k, h, w), and the directions of their limbs, `fields`
    (n, limbs, 2, h, w).

    Each of `limbs` is the keypoints at its two ends. The peaks above `least_peak`, the `top_k` best of each map, are
    linked where the field points from one to the other: at 7 of 10 points by more than `least_field`. A limb starts a
    person if it is among the first `starts`. People with fewer than `least_parts` keypoints are dropped, and those
    whose sum of scores per keypoint is below `least_score`. A px of the maps has `stride` px of the canvas. With `flip`
    the mirrored image runs too; `scales` are those at which the image runs. The maps of all runs are averaged at the
    size of those of scale 1.
    """

    limbs: Limbs
    starts: int
    stride: int = 8
    top_k: int = 256
    least_peak: float = 0.1
    least_field: float = 0.05
    least_parts: int = 4
    least_score: float = 0.3
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    kind: Literal["affinity"] = "affinity"

    task: ClassVar[str] = "pose"
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("heatmaps", "map", "range", mirror=Mirror()),
        Output("fields", unit="range"),
    )
    compares: ClassVar[str] = "poses"
    has_keypoints: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(1 <= self.stride <= 64, "form.stride", "1..64")
        require(1 <= self.top_k <= 1000, "form.top_k", "1..1000")
        require(self.least_peak >= 0, "form.least_peak", "0 or more")
        require(1.0 in self.scales and all(0.1 <= s <= 8 for s in self.scales), "form.scales", "0.1..8, 1 among them")

    def check(self, skeleton: Skeleton | None) -> None:
        require(skeleton is not None, "skeleton", "keypoints")
        assert skeleton is not None
        inside = all(0 <= end < len(skeleton.keypoints) for limb in self.limbs for end in limb)
        require(bool(self.limbs) and inside, "form.limbs", "pairs of the skeleton's keypoints")
        require(
            not self.flip or mirrored_limbs(self.limbs, skeleton.mirrored()) is not None,
            "form.limbs",
            "limbs of both sides",
        )

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The people in one image, in the order in which the grouping creates them, in px of the canvas's content.

        The score of a person is half of the sum of scores per keypoint, which is 2 at most: 1 for the keypoint itself
        and 1 for a limb.
        """
        assert card.skeleton is not None
        [frame] = {run.frame for run in runs if run.scale == 1.0}
        heatmaps, fields = self.merged(runs, card.skeleton)
        points, scores, totals = self.group(heatmaps, fields)
        points = (points + np.float32(0.5)) - np.array(frame.offset[::-1], np.float32)
        return poses(points, scores, totals / np.float32(2), card, frame.extent)

    def group(self, heatmaps: Floats, fields: Floats) -> tuple[Floats, Floats, Floats]:
        """Group the peaks of `heatmaps` (k, h, w) by `fields` (limbs, 2, h, w) into n people.

        Returns keypoints (n, k, 2) xy in whole px of the canvas, their scores (n, k), and for each person the sum of
        the scores of keypoints and limbs per keypoint (n,). A missing keypoint has the score 0 and is at the origin.
        """
        points, scores, totals = _native.group_affinity(
            np.ascontiguousarray(heatmaps),
            np.ascontiguousarray(fields),
            np.array(self.limbs),
            self.stride,
            self.top_k,
            self.starts,
            self.least_peak,
            self.least_field,
            self.least_parts,
            self.least_score,
        )
        k = len(heatmaps)
        return points.reshape(-1, k, 2), scores.reshape(-1, k), totals

    def merged(self, runs: Sequence[Run], skeleton: Skeleton) -> tuple[Floats, Floats]:
        """The mean maps of all runs, of the size of those at scale 1."""
        [base, *_] = [run for run in runs if run.scale == 1.0]
        if len(runs) == 1:
            return base.outputs["heatmaps"], base.outputs["fields"]
        heatmaps, fields = (np.zeros(base.outputs[name].shape, np.float32) for name in ("heatmaps", "fields"))
        k, limbs = len(heatmaps), len(fields)
        for run in runs:
            places = same_places(run.frame, base.frame, self.stride, run.mirrored)
            order, turned = list(range(limbs)), [1.0] * limbs
            if run.mirrored:
                order, turned = mirrored_limbs(self.limbs, skeleton.mirrored()) or (order, turned)
            keypoints = skeleton.mirrored() if run.mirrored else range(k)
            add_maps(run.outputs["heatmaps"], heatmaps, list(keypoints), [1.0] * k, *places)
            channels = [2 * limb + axis for limb in order for axis in (0, 1)]
            signs = [sign * way for sign in turned for way in ((-1.0 if run.mirrored else 1.0), 1.0)]
            flat, sums = (maps.reshape(-1, *maps.shape[2:]) for maps in (run.outputs["fields"], fields))
            add_maps(flat, sums, channels, signs, *places)
        return heatmaps / np.float32(len(runs)), fields / np.float32(len(runs))
