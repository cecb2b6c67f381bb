"""Poses as centres and displacements from them: SPM (arXiv 1908.09220) and DEKR (arXiv 2104.02300)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..columns.keypoints import Keypoints
from ..contract.parse import require
from ..contract.port import Arrays
from ..contract.skeleton import Skeleton
from ..inputs.crop import WarpedFrame
from ..inputs.geometry import Place
from ..results.instances import Instances
from .form import Contract, Mirror, Output, Run
from .single_stage import Floats, SingleStage, at_cells, peaks, positions

_LAYERS = ("rescoring_1", "rescoring_2", "rescoring_3")


@dataclass(frozen=True)
class Roots(SingleStage):
    """A heatmap of the centres of people, and displacements to their keypoints, in cells of the map.

    The outputs are `centres` (n, 1, h, w) and `displacements` (n, k, 2, h, w), with `diagonal` as parts of the map's
    diagonal. The `top_k` best peaks of the centres above `least_centre`, not exceeded within `kernel` px, are people.
    A keypoint is displaced from the centre, or from the keypoint that is its entry in `parents` (-1 for the centre):
    its displacement is read in the cell of that keypoint (SPM, section 3.2).

    The score of a person is the mean of its keypoint scores. These are the value of the centre, times the value of the
    optional `heatmaps` (n, k, h, w) at the keypoint, times the score that a network of three layers gives for the pose
    (DEKR, section 3.4). Its weights are the optional `rescoring_1` to `rescoring_3` (n, out, in + 1), the bias last; it
    sees the links of the skeleton, divided by the mean length of the two in `torso`, and the values of the heatmaps.

    With `nearby`, of people who have more than half their keypoints closer together than that part of the diagonal of
    their extent, the one with the best keypoints is kept. With `flip`, the mirrored view's heatmaps are moved right by
    `shift` cells, and the x of its displacements by `shift_displacements`.
    """

    kernel: int = 3
    top_k: int = 30
    least_centre: float = 0.01
    parents: tuple[int, ...] = ()
    diagonal: bool = False
    nearby: float = 0.0
    torso: tuple[int, int] = (0, 0)
    shift: float = 0.0
    shift_displacements: float = 0.0
    kind: Literal["roots"] = "roots"

    place: ClassVar[Place] = "cover"
    compares: ClassVar[str] = "poses"
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("centres", "map", "range", mirror=Mirror(swaps=False)),
        Output("displacements", unit="range", mirror=Mirror(signs=(-1, 1))),
        Output("heatmaps", "map", "range", mirror=Mirror(), optional=True),
        *(Output(name, unit="range", optional=True) for name in _LAYERS),
    )

    def __post_init__(self) -> None:
        require(self.kernel % 2 == 1 and 1 <= self.kernel <= 63, "form.kernel", "an odd number of px, 1..63")
        require(1 <= self.top_k <= 1000, "form.top_k", "1..1000")
        require(0 <= self.least_centre <= 1, "form.least_centre", "0..1")
        require(0 <= self.nearby <= 1, "form.nearby", "0..1")
        require(0 <= self.shift <= 1, "form.shift", "0..1 cells")
        require(0 <= self.shift_displacements <= 1, "form.shift_displacements", "0..1 cells")
        _order(self.parents)

    @property
    def channels(self) -> int:
        return 2

    def for_skeleton(self, skeleton: Skeleton) -> Self:
        """Other keypoints are displaced from the centre."""
        return replace(super().for_skeleton(skeleton), parents=())

    def check(self, skeleton: Skeleton | None) -> None:
        super().check(skeleton)
        assert skeleton is not None
        require(len(self.parents) in (0, len(skeleton.keypoints)), "form.parents", "one for each keypoint, or none")
        least = min(self.torso) >= 0 and max(self.torso) < max(len(skeleton.links), 1)
        require(least, "form.torso", "two links of the skeleton")

    def shift_of(self, output: str) -> float:
        return 0.0 if output == "displacements" else self.shift

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The people in one image in px of the image, the one with the best keypoints first."""
        assert card.skeleton is not None
        maps, frame = self.maps(runs, card), runs[0].frame
        assert isinstance(frame, WarpedFrame)
        displacements = maps["displacements"]
        if len(runs) > 1:
            displacements = displacements + np.array([[[[self.shift_displacements / 2]], [[0]]]], np.float32)
        [centres] = maps["centres"]
        size = np.array(centres.shape[::-1], np.float32)
        cells = peaks(centres, self.kernel, self.least_centre, self.top_k)
        if self.diagonal:
            displacements = displacements * np.float32(np.hypot(*size))
        parts = self._displaced(positions(cells, centres.shape[1]), displacements)
        good = np.isfinite(parts).all((1, 2))
        cells, parts = cells[good], parts[good]
        values = sampled(maps["heatmaps"], parts) if "heatmaps" in maps else np.ones(parts.shape[:2], np.float32)
        scores = centres.ravel()[cells]
        pixels = (parts * (np.array(frame.canvas_size[::-1], np.float32) / size)).astype(np.float32)
        if _LAYERS[0] in maps:
            scores = scores * self._rescored(pixels, values, maps, card.skeleton)
        rows = np.argsort(-values.mean(1), kind="stable")
        if self.nearby:
            rows = apart(pixels, rows, self.nearby)
        scores = scores[:, None] * values
        places = frame.to_image(parts / size)
        column = Keypoints(
            np.concatenate((places, scores[..., None]), -1), card.skeleton, np.zeros(len(parts), np.float32)
        )
        bounds = np.concatenate((places.min(1), places.max(1)), 1)
        column = replace(column, areas=(bounds[:, 2:] - bounds[:, :2]).prod(1))[rows]
        shape = (frame.image_size[1], frame.image_size[0])
        return Instances(
            bounds[rows], scores.mean(1)[rows], np.zeros(len(rows), np.int64), card.labels, shape
        ).with_columns(column)

    def _displaced(self, roots: Floats, displacements: Floats) -> Floats:
        """The keypoints (n, k, 2) of people with the centres (n, 2), all in cells."""
        count, _, height, width = displacements.shape
        parts = np.empty((len(roots), count, 2), np.float32)
        parents = self.parents or (-1,) * count
        for part in _order(parents):
            start = roots if parents[part] < 0 else parts[:, parents[part]]
            known = np.logical_and(*np.isfinite(start).T)
            cell = np.floor(np.where(known[:, None], start, 0) + np.float32(0.5))
            x, y = (np.clip(cell[:, i], 0, side - 1).astype(np.int64) for i, side in enumerate((width, height)))
            parts[:, part] = np.stack((x, y), 1) + at_cells(displacements[part], y * width + x)
            parts[~known, part] = np.nan
        return parts

    def _rescored(self, parts: Floats, values: Floats, maps: Arrays, skeleton: Skeleton) -> Floats:
        """The factor (n,) of the score of each pose (n, k, 2) in px, whose heatmap values are (n, k)."""
        starts, ends = np.array(skeleton.links, np.int64).reshape(-1, 2).T
        links = parts[:, starts] - parts[:, ends]
        lengths = np.sqrt((links**2).sum(2))
        unit = np.maximum(lengths[:, self.torso].mean(1, keepdims=True), 1)
        x = np.concatenate(((links / unit[..., None]).reshape(len(links), 2 * len(starts)), lengths / unit, values), 1)
        for name in _LAYERS:
            layer = maps[name]
            x = np.maximum(x, 0) if name != _LAYERS[0] else x
            x = x @ layer[:, :-1].T + layer[:, -1]
        return np.nan_to_num(x[:, 0]).astype(np.float32)


def _order(parents: Sequence[int]) -> list[int]:
    """The keypoints, each after the one that it is displaced from. Raises FieldError if there is no such order."""
    order: list[int] = []
    while len(order) < len(parents):
        ready = [i for i, parent in enumerate(parents) if i not in order and (parent == -1 or parent in order)]
        require(bool(ready), "form.parents", "-1 or another keypoint, without a circle")
        order += ready
    return order


def sampled(maps: Floats, points: Floats) -> Floats:
    """The values (n, k) of maps (k, h, w) at points (n, k, 2) in cells, bilinear and constant beyond the border.

    Points are measured between the centres of the first and last cell, and the map between its edges, as in mmpose's
    SPR codec.
    """
    count, height, width = maps.shape
    size = np.array([width, height], np.float32)
    place = np.clip(points * (size / np.maximum(size - 1, 1)) - np.float32(0.5), 0, size - 1)
    low = np.minimum(place.astype(np.int64), np.maximum(size - 2, 0).astype(np.int64))
    x, y = np.moveaxis(place - low, -1, 0).astype(np.float32)
    high = np.minimum(low + 1, size.astype(np.int64) - 1)
    part = np.arange(count, dtype=np.int64)
    top = maps[part, low[..., 1], low[..., 0]] * (1 - x) + maps[part, low[..., 1], high[..., 0]] * x
    bottom = maps[part, high[..., 1], low[..., 0]] * (1 - x) + maps[part, high[..., 1], high[..., 0]] * x
    return (top * (1 - y) + bottom * y).astype(np.float32)


def apart(poses: Floats, order: NDArray[np.int64], nearby: float) -> NDArray[np.int64]:
    """The rows of poses (n, k, 2) left in the given order, best first, if of those close to each other one is kept."""
    extents = np.sqrt(((poses.max(1) - poses.min(1)) ** 2).sum(1)) if len(poses) else np.empty(0)
    distances = np.sqrt(((poses[:, None] - poses) ** 2).sum(3))
    near = (distances < nearby * extents[:, None, None]).sum(2) > poses.shape[1] // 2
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    kept: list[int] = []
    done = np.zeros(len(poses), np.bool_)
    for row in order.tolist():
        if done[row]:
            continue
        group = np.flatnonzero(near[row] | (np.arange(len(poses)) == row))
        best = int(group[rank[group].argmin()])
        # Closeness is measured by the size of one of the two, so the better one may be gone already.
        if not done[best]:
            kept.append(best)
            done[group] = True
    return np.array(kept, np.int64)
