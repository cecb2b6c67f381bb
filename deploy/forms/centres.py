"""Poses as centres, displacements and heatmaps of keypoints: CenterNet (arXiv 1904.07850, section 4.2 and appendix)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..columns.keypoints import Keypoints
from ..contract.parse import require
from ..results.instances import Instances
from .boxes import in_image
from .form import Contract, Mirror, Output, Run
from .single_stage import Floats, SingleStage, at_cells, peaks, positions


@dataclass(frozen=True)
class Centres(SingleStage):
    """A heatmap of the centres of people, displacements to their keypoints, and heatmaps of the keypoints.

    The outputs, in cells of the map, are `centres` (n, 1, h, w), 0..1; `sizes` (n, 2, h, w), width and height of a box;
    `offsets` (n, 2, h, w) of the centre in its cell; `displacements` (n, k, 2, h, w) from the cell to each keypoint;
    `heatmaps` (n, k, h, w), 0..1; and `heatmap_offsets` (n, 2, h, w) of a keypoint in its cell. The `top_k` best peaks
    of the centres are people, and as many peaks of each heatmap above `least_keypoint` are candidates. The candidate
    nearest to a displaced keypoint replaces it if it lies in the box and at most `snap` times the longer side away.

    The score of a keypoint is that of its person or, with `scored_by` "peak", that of the nearest candidate, also if it
    is too far to replace the keypoint; without candidates it is 0.
    """

    top_k: int = 100
    least_keypoint: float = 0.1
    snap: float = 0.3
    scored_by: Literal["person", "peak"] = "person"
    kind: Literal["centres"] = "centres"

    outputs: ClassVar[tuple[Output, ...]] = (
        Output("centres", "map", mirror=Mirror(swaps=False)),
        Output("sizes", unit="range", mirror=Mirror(swaps=False)),
        Output("offsets"),
        Output("displacements", unit="range", mirror=Mirror(signs=(-1, 1))),
        Output("heatmaps", "map", mirror=Mirror()),
        Output("heatmap_offsets"),
    )

    def __post_init__(self) -> None:
        require(1 <= self.top_k <= 1000, "form.top_k", "1..1000")
        require(0 <= self.least_keypoint <= 1, "form.least_keypoint", "0..1")
        require(0 <= self.snap <= 100, "form.snap", "0..100")

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The people whose score exceeds `suppress.conf`, with a box each, best first."""
        assert card.skeleton is not None
        maps, frame = self.maps(runs, card), runs[0].frame
        [centres] = maps["centres"]
        height, width = centres.shape
        cells = peaks(centres, 3, card.suppress.conf, self.top_k)
        places, scores = positions(cells, width), centres.ravel()[cells]
        middles, half = places + at_cells(maps["offsets"], cells), at_cells(maps["sizes"], cells) * np.float32(0.5)
        boxes = np.concatenate((middles - half, middles + half), 1).astype(np.float32)
        parts, nearest = self._snapped(places[:, None] + at_cells(maps["displacements"], cells), boxes, maps)
        parts_scores = nearest if self.scored_by == "peak" else np.repeat(scores[:, None], parts.shape[1], 1)
        step = np.array([frame.canvas_size[1] / width, frame.canvas_size[0] / height], np.float32)
        boxes = in_image(boxes * np.tile(step, 2), frame)
        parts = in_image((parts * step).reshape(-1, 2), frame).reshape(parts.shape)
        column = Keypoints(
            np.concatenate((parts, parts_scores[..., None]), -1), card.skeleton, (boxes[:, 2:] - boxes[:, :2]).prod(1)
        )
        labels = np.zeros(len(scores), np.int64)
        found = Instances(boxes, scores, labels, card.labels, frame.extent).with_columns(column)
        return found[np.isfinite(boxes).all(1) & np.isfinite(parts).all((1, 2))]

    def _snapped(self, parts: Floats, boxes: Floats, maps: dict[str, Floats]) -> tuple[Floats, Floats]:
        """The keypoints (n, k, 2) xy, replaced by candidates near them, and the scores (n, k) of the nearest ones."""
        parts, scores = parts.copy(), np.zeros(parts.shape[:2], np.float32)
        reach = (boxes[:, 2:] - boxes[:, :2]).max(1) * np.float32(self.snap)
        for part, heatmap in enumerate(maps["heatmaps"]):
            cells = peaks(heatmap, 3, self.least_keypoint, self.top_k)
            if not len(cells):
                continue
            candidates = positions(cells, heatmap.shape[1]) + at_cells(maps["heatmap_offsets"], cells)
            distances = np.sqrt(((parts[:, None, part] - candidates) ** 2).sum(2))
            best = np.nan_to_num(distances, nan=np.inf).argmin(1)
            place = candidates[best]
            inside = (place >= boxes[:, :2]).all(1) & (place <= boxes[:, 2:]).all(1)
            near: NDArray[np.bool_] = distances[np.arange(len(best)), best] <= reach
            scores[:, part] = heatmap.ravel()[cells[best]]
            parts[inside & near, part] = place[inside & near]
        return parts, scores
