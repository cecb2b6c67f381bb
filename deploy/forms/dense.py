"""Dense predictions: a box and class scores at every anchor of a feature pyramid."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..columns.column import Column
from ..columns.quality import Quality
from ..columns.visible import Visible
from ..contract.labels import class_numbers
from ..contract.parse import require
from ..inputs.geometry import Size
from ..results.instances import Instances
from ..system.errors import IncompatibleError
from .beside import KEYPOINTS, keypoints_beside
from .boxes import Clip, clipped, has_area, in_image
from .form import Contract, Form, ImageForm, Output, Run
from .graph import Graph


@dataclass(frozen=True)
class Dense(ImageForm):
    """One prediction per anchor of a feature pyramid: `boxes` (n, a, 4) px and `scores` (n, a, classes).

    Optional outputs are `quality` (n, a) or (n, a, classes), 0..1, and `visible` (n, a, 4), boxes around the visible
    part of each object. If the Card has a skeleton, there are `keypoints` (n, a, 2k), x and y px of each, and maybe
    their `keypoint_scores` (n, a, k). Predictions are ordered by level in the order of `strides`, then by row and
    column, with `anchors` in each cell; without `strides` they are one level. The `top_k` best of each level are kept,
    where `unit` is "pairs" of anchor and class, "points", which are anchors with all their classes, "best", anchors
    with their best class, or "classes", pairs of which so many of each class are kept (torchvision's SSD); with
    `levels_together` they are the best of all levels. `clip` is where boxes are clipped.

    A level has as many cells as the canvas has strides, rounded up. Of some networks it rounds down first: `floors` has
    one divisor of each stride for that, 1 for none. With `unpadded` convolutions it has (side + 1) // stride - 1.
    """

    strides: tuple[int, ...]
    anchors: int = 1
    top_k: int = 1000
    unit: Literal["pairs", "points", "best", "classes"] = "pairs"
    clip: Clip = "image"
    levels_together: bool = False
    floors: tuple[int, ...] = ()
    unpadded: bool = False
    kind: Literal["dense"] = "dense"

    task: ClassVar[str] = "detection"
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("boxes", unit="px"),
        Output("scores"),
        Output("quality", optional=True),
        Output("visible", unit="px", optional=True),
        *KEYPOINTS,
    )

    def __post_init__(self) -> None:
        require(all(s >= 1 for s in self.strides), "form.strides", "positive strides")
        halves = len(self.floors) in (0, len(self.strides)) and all(
            floor >= 1 and stride % floor == 0 for floor, stride in zip(self.floors, self.strides, strict=False)
        )
        require(halves, "form.floors", "one divisor of each stride")
        require(self.unit != "classes" or self.levels_together, "form.levels_together", "true for the unit classes")
        require(not (self.unpadded and self.floors), "form.unpadded", "false with floors")
        require(1 <= self.anchors <= 1000, "form.anchors", "1..1000")
        require(1 <= self.top_k <= 100_000, "form.top_k", "1..100000")

    @property
    def channels(self) -> int:
        return self.anchors

    def px(self, canvas: Size) -> NDArray[np.float64]:
        """8 strides of each prediction's level (a, 1), the typical distance of a side from its point."""
        if not self.strides:
            return np.full((1, 1), 64.0)
        return 8 * np.repeat(np.array(self.strides, np.float64), self.level_sizes(*canvas))[:, None]

    def suppressed_inside(self) -> Form | None:
        return Graph(self.clip) if self.strides and self.unit != "classes" else None

    def level_sizes(self, height: int, width: int) -> list[int]:
        """The number of predictions of each level on a canvas of this size."""
        if self.unpadded:
            return [((height + 1) // s - 1) * ((width + 1) // s - 1) * self.anchors for s in self.strides]
        floors = self.floors or (1,) * len(self.strides)
        return [
            _cells(height, floor, stride) * _cells(width, floor, stride) * self.anchors
            for floor, stride in zip(floors, self.strides, strict=True)
        ]

    def ranked_together(self, height: int, width: int) -> list[int]:
        """How many predictions, one level after the other, share each `top_k`."""
        sizes = self.level_sizes(height, width)
        return [sum(sizes)] if self.levels_together else sizes

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The candidates that pass the threshold and the top-k selection.

        A pair of anchor and class is kept if the score named by `fusion.threshold_by` exceeds `suppress.conf`, and if
        the pair, or its anchor, is among the `top_k` best of its level by `fusion.rank_by`. If scores are equal, the
        first is kept. "pairs" ranked by "score" is the rule of mmdet 3, "points" ranked by "fused" that of mmdet 1
        and 2. NaN values are dropped.
        """
        [run] = runs
        outputs, fusion = run.outputs, card.fusion
        boxes, scores, quality = outputs["boxes"], outputs["scores"], outputs.get("quality")
        classes = class_numbers(card.labels)
        if len(classes) < len(card.labels):  # else those without a label would fill the top-k
            scores = scores[:, classes]
            quality = quality if quality is None or quality.ndim == 1 else quality[:, classes]
        best = scores.argmax(1)[:, None] if self.unit == "best" else None
        if best is not None:
            scores, quality = np.take_along_axis(scores, best, 1), _of_classes(quality, best)
        pairs, fused = _native.select(
            np.ascontiguousarray(scores),
            None if quality is None else np.ascontiguousarray(quality),
            self._level_ends(run.frame.canvas_size, len(boxes)),
            card.suppress.conf,
            scores.size if self.unit == "classes" else self.top_k,
            fusion.exponents,
            threshold_fused=fusion.threshold_by == "fused",
            rank_fused=fusion.rank_by == "fused",
            points=self.unit == "points",
        )
        if self.unit == "classes":
            best_pairs = _best_of_each(pairs % scores.shape[1], fused, self.top_k)
            pairs, fused = pairs[best_pairs], fused[best_pairs]
        points, labels = np.divmod(pairs, scores.shape[1])
        if best is not None:
            labels = best[points, 0]
        labels = classes[labels]
        columns: list[Column] = []
        if quality is not None:
            columns.append(Quality(quality.reshape(-1)[points if quality.ndim == 1 else pairs]))
        if (visible := outputs.get("visible")) is not None:
            columns.append(Visible(clipped(in_image(visible[points], run.frame), run.frame, self.clip)))
        kept = clipped(in_image(boxes[points], run.frame), run.frame, self.clip)
        if card.skeleton is not None:
            columns.append(keypoints_beside(outputs, points, kept, fused, run.frame, card.skeleton))
        found = Instances(kept, fused, labels, card.labels, run.frame.extent).with_columns(*columns)
        if card.suppress.clips:
            return found
        # Boxes are clipped before suppression, as in most reference implementations. Empty boxes are dropped; one of
        # the last pixel alone is not empty where overlaps count that pixel.
        return found[has_area(kept, card.suppress.inclusive)]

    def _level_ends(self, canvas: Size, points: int) -> list[int]:
        """The index after the last anchor of each level, or of all."""
        if not self.strides:
            return [points]
        height, width = canvas
        ends = list(accumulate(self.ranked_together(height, width)))
        if ends[-1] != points:
            raise IncompatibleError(
                f"the model gives {points} points on a {width}x{height} canvas, its Card's strides {ends[-1]}; "
                "the file was changed after its export; export it again"
            )
        return ends


def _cells(side: int, floor: int, stride: int) -> int:
    """The number of cells along a side of the canvas."""
    return -(-(side // floor) // (stride // floor))


def _best_of_each(labels: NDArray[np.int64], scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The rows of the `count` best of each label, in ascending order; of equal ones the first."""
    order = np.lexsort((-scores, labels))
    starts = np.searchsorted(labels[order], labels[order])
    return np.sort(order[np.arange(len(order)) - starts < count])


def _of_classes(quality: NDArray[np.float32] | None, classes: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """The quality (a, 1) of one class (a, 1) of each anchor; one that is of all classes (a,) stays as it is."""
    return quality if quality is None or quality.ndim == 1 else np.take_along_axis(quality, classes, 1)
