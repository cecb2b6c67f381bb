"""Keypoints of all people in an image, grouped by their tags: associative embedding (arXiv 1611.05424)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.parse import require
from ..contract.skeleton import Skeleton
from ..inputs.crop import WarpedFrame
from ..inputs.geometry import Place
from ..results.instances import Instances
from .form import Contract, ImageForm, Mirror, Output, Run
from .limbs import poses
from .views import add_maps, spread

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Tags(ImageForm):
    """Heatmaps and tags of the keypoints of all people: `heatmaps` and `tags`, both (n, k, h, w).

    The `top_k` best peaks of each map with a value above `least_peak` are grouped by their tags, one keypoint type
    after the other in the given `order`. A tag farther than `tag_distance` from all people starts a new person. With
    `flip` the mirrored image runs too; `scales` are those at which the image runs. All heatmaps are averaged; tags are
    taken from scale 1. `rule` is how keypoints are refined and missing ones are searched: "higherhrnet" as its authors
    and mmpose 0.x do, "mmpose" as mmpose 1.x does. Maps are grouped at the size of the canvas, or at their own without
    `enlarged`. Only the first `people` that the grouping creates are kept, if there is such a limit.
    """

    order: tuple[int, ...]
    top_k: int = 30
    least_peak: float = 0.1
    tag_distance: float = 1.0
    flip: bool = True
    scales: tuple[float, ...] = (1.0,)
    rule: Literal["higherhrnet", "mmpose"] = "higherhrnet"
    enlarged: bool = True
    people: int | None = None
    kind: Literal["tags"] = "tags"

    task: ClassVar[str] = "pose"
    mirrors_canvas: ClassVar[bool] = True
    place: ClassVar[Place] = "cover"
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("heatmaps", "map", "range", mirror=Mirror()),
        Output("tags", unit="range", mirror=Mirror()),
    )
    compares: ClassVar[str] = "poses"
    has_keypoints: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(sorted(self.order) == list(range(len(self.order))), "form.order", "every keypoint once")
        require(1 <= self.top_k <= 1000, "form.top_k", "1..1000")
        require(self.people is None or self.people >= 1, "form.people", "1 or more")
        require(self.tag_distance > 0, "form.tag_distance", "a positive number")
        require(1.0 in self.scales and all(0.1 <= s <= 8 for s in self.scales), "form.scales", "0.1..8, 1 among them")

    @property
    def channels(self) -> int:
        return 2

    def for_skeleton(self, skeleton: Skeleton) -> Self:
        count = len(skeleton.keypoints)
        order = self.order if len(self.order) == count else tuple(range(count))
        return replace(self, flip=self.flip and bool(skeleton.pairs), order=order)

    def check(self, skeleton: Skeleton | None) -> None:
        require(skeleton is not None, "skeleton", "keypoints")
        assert skeleton is not None
        require(len(self.order) == len(skeleton.keypoints), "form.order", "the skeleton's keypoints")

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The people in one image, in the order in which the grouping creates them, in px of the image.

        Maps are resized to the canvas at scale 1, or with the frame's `spacing` or without `enlarged` to the maps of
        the largest scale (HigherHRNet, arXiv 1908.10357, section 3.4, and mmpose 0.x).
        """
        assert card.skeleton is not None
        [frame] = {run.frame for run in runs if run.scale == 1.0}
        assert isinstance(frame, WarpedFrame)
        heatmaps, tags = self._merged(runs, frame, card.skeleton)
        parts, scores, totals = (each[: self.people] for each in self.group(heatmaps, tags, frame.spacing))
        size = (frame.image_size[1], frame.image_size[0])
        return poses(frame.to_image(parts), scores, totals, card, size)

    def group(self, heatmaps: Floats, tags: Floats, spacing: bool) -> tuple[Floats, Floats, Floats]:
        """Group peaks into n people.

        Shapes: `heatmaps` (k, h, w), `tags` (views, k, h, w) with 1 view, or 2 if the mirrored image ran too. Returns
        keypoints (n, k, 2) xy relative to the map's size, their scores (n, k), and the score of each person (n,). With
        `spacing`, lengths are measured between pixel centres, and keypoints are refined by UDP with a kernel of 3 px. A
        missing keypoint has the score 0 and is at the origin, or where UDP's refinement moves it from there.
        """
        k, h, w = heatmaps.shape
        places, scores, totals = _native.group(
            np.ascontiguousarray(heatmaps),
            np.ascontiguousarray(tags),
            np.array(self.order),
            self.top_k,
            self.least_peak,
            self.tag_distance,
            spacing,
            self.rule == "mmpose",
        )
        size = np.maximum(np.array([w, h], np.float32) - spacing, 1)
        return (places.reshape(-1, k, 2) / size).astype(np.float32), scores.reshape(-1, k), totals

    def _merged(self, runs: Sequence[Run], frame: WarpedFrame, skeleton: Skeleton) -> tuple[Floats, Floats]:
        """The mean heatmaps (k, h, w) of all runs, and the tags (views, k, h, w) of the runs at scale 1."""
        orders = {False: range(len(skeleton.keypoints)), True: skeleton.mirrored()}
        first = runs[0].outputs["heatmaps"]
        size = frame.canvas_size if self.enlarged and not frame.spacing else first.shape[1:]
        heatmaps = np.zeros((first.shape[0], *size), np.float32)
        tags: list[Floats] = []
        for run in runs:
            order = orders[run.mirrored]
            _add(run.outputs["heatmaps"], heatmaps, order, frame.spacing, run.mirrored)
            if run.scale == 1.0:
                tags.append(np.zeros_like(heatmaps))
                _add(run.outputs["tags"], tags[-1], order, frame.spacing, run.mirrored)
        return heatmaps / np.float32(len(runs)), np.stack(tags)


def _add(source: Floats, target: Floats, order: Sequence[int], aligned: bool, mirrored: bool) -> None:
    """Resize maps (k, h, w), mirror them back, and add them to `target`."""
    rows, columns = (spread(source.shape[axis], target.shape[axis], aligned, mirrored and axis == 2) for axis in (1, 2))
    add_maps(source, target, order, [1.0] * len(target), rows, columns)
