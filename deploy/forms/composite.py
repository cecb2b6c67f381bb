"""Keypoints of all people in an image, grouped by composite fields: PifPaf (arXiv 1903.06593, 2103.02440)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.parse import require
from ..contract.port import Arrays
from ..contract.skeleton import Skeleton
from ..results.instances import Instances
from .form import Contract, ImageForm, Output, Run
from .limbs import Limbs, mirrored_limbs, poses

Floats = NDArray[np.float32]

_HEAD_WEIGHTS = (3.0, 3.0, 3.0)
"""The weights of a person's best keypoint scores; others have 1."""


@dataclass(frozen=True)
class Composite(ImageForm):
    """Fields of keypoints and limbs. Each cell has a confidence, and points to keypoints around it.

    `heatmaps` (n, k, h, w) and `limbs` (n, limbs, h, w) are the confidences. `places` (n, k, 3, h, w) are x, y and the
    scale of a keypoint in cells; `ends` (n, limbs, 6, h, w) are x and y of both keypoints of a limb and then their
    scales. Each of the form's `links` is the keypoints at the two ends of a limb. A cell has `stride` px of the canvas,
    and the centre of the first is that of the first px. Confidences of at least `least_peak` count; keypoints of at
    least `least_seed` start people, the best `top_k` of them. Keypoints need a score above `least_keypoint`, people a
    mean score of at least `least_person`. With `flip` the mirrored image runs too: its fields are mirrored back, and
    the cells of both count, each with half of its weight.
    """

    links: Limbs
    stride: int = 8
    top_k: int = 10_000
    least_peak: float = 0.3
    least_seed: float = 0.2
    least_keypoint: float = 0.15
    least_person: float = 0.15
    flip: bool = False
    kind: Literal["composite"] = "composite"

    task: ClassVar[str] = "pose"
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("heatmaps", "map"),
        Output("places", unit="range"),
        Output("limbs"),
        Output("ends", unit="range"),
    )
    compares: ClassVar[str] = "poses"
    has_keypoints: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(1 <= self.stride <= 64, "form.stride", "1..64")
        require(1 <= self.top_k <= 100_000, "form.top_k", "1..100000")
        for name in ("least_peak", "least_seed", "least_keypoint"):
            require(0 < getattr(self, name) <= 1, f"form.{name}", "above 0, 1 at most")

    @property
    def channels(self) -> int:
        return 5 * 4

    def check(self, skeleton: Skeleton | None) -> None:
        require(skeleton is not None, "skeleton", "keypoints")
        assert skeleton is not None
        inside = all(0 <= end < len(skeleton.keypoints) for link in self.links for end in link)
        require(bool(self.links) and inside, "form.links", "pairs of the skeleton's keypoints")
        has_sides = not self.flip or mirrored_limbs(self.links, skeleton.mirrored()) is not None
        require(has_sides, "form.links", "links of both sides")

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The people in one image, in px of the canvas's content, with the score of the authors' evaluation.

        That is the mean score of the keypoints, in which the best three count three times.
        """
        assert card.skeleton is not None
        run = runs[0]
        values = self.group(
            *(self._unmirrored(each, card.skeleton) if each.mirrored else each.outputs for each in runs)
        )
        scores = -np.sort(-values[..., 2], 1)
        weights = np.ones(scores.shape[1], np.float32)
        weights[: len(_HEAD_WEIGHTS)] = _HEAD_WEIGHTS[: len(weights)]
        totals = (scores @ (weights / weights.sum())).astype(np.float32)
        points = values[..., :2] + np.float32(0.5) - np.array(run.frame.offset[::-1], np.float32)
        return poses(points, values[..., 2], totals, card, run.frame.extent)

    def group(self, *views: Arrays) -> Floats:
        """Group the keypoints of one image into n people, best first: (n, k, 3) with x, y px and a score.

        The fields of each view show the image as it is. A missing keypoint has the score 0 and is at the origin.
        """
        heatmaps, places, limbs, ends = (
            np.ascontiguousarray(np.concatenate([view[output.name] for view in views], -2), np.float32)
            for output in self.outputs
        )
        found = _native.group_composite(
            heatmaps,
            places,
            limbs,
            ends,
            np.array(self.links, np.int64),
            self.stride,
            self.top_k,
            self.least_peak,
            self.least_seed,
            self.least_keypoint,
            self.least_person,
            len(views),
        )
        return found.reshape(-1, len(heatmaps), 3)

    def _unmirrored(self, run: Run, skeleton: Skeleton) -> Arrays:
        """The fields of the mirrored image as those of the image: sides exchanged, and x counted from the other end."""
        order = list(skeleton.mirrored())
        limbs, ways = mirrored_limbs(self.links, order) or ([], [])
        # A link that points the other way has its ends exchanged.
        ends = np.stack(
            [
                run.outputs["ends"][limb][[0, 1, 2, 3, 4, 5] if way > 0 else [2, 3, 0, 1, 5, 4]]
                for limb, way in zip(limbs, ways, strict=True)
            ]
        )
        places = run.outputs["places"][order]
        last = (2 * run.frame.offset[1] + run.frame.content_size[1] - 1) / self.stride
        places[:, 0] = last - places[:, 0]
        ends[:, 0:3:2] = last - ends[:, 0:3:2]
        return {
            "heatmaps": run.outputs["heatmaps"][order],
            "places": places,
            "limbs": run.outputs["limbs"][limbs],
            "ends": ends,
        }
