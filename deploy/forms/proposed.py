"""Predictions for the proposals of a two-stage network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..columns.column import Column
from ..columns.proposal import Proposal
from ..columns.quality import Quality
from ..columns.visible import Visible
from ..contract.fusion import fuse
from ..contract.labels import class_numbers
from ..contract.parse import require
from ..inputs.geometry import Size
from ..results.instances import Instances
from .boxes import Clip, clipped, has_area, in_image, largest_shift
from .form import Contract, Form, ImageForm, Output, Run
from .graph import Graph


@dataclass(frozen=True)
class Proposed(ImageForm):
    """Class scores and a box of each class for every proposal of a two-stage network.

    Outputs are `boxes` (n, k, classes, 4) px, or (n, k, 1, 4) if the classes share a box, `scores` (n, k, classes), the
    `proposals` (n, k, 4) px and their `objectness` (n, k), which is 0 for rows that are padding, and maybe the
    `quality` of the boxes, (n, k) or like `scores`, and their `visible` parts, which are like `boxes`. All pairs of
    proposal and class above the threshold are candidates; with suppression in the graph, the `top_k` best of them.
    `clip` is where boxes are clipped. A network may find `each` objects of a class in a proposal: it has as many boxes
    and scores for every class, those of the first object of each class before those of the second.
    """

    top_k: int = 3000
    clip: Clip = "image"
    each: int = 1
    kind: Literal["proposed"] = "proposed"

    task: ClassVar[str] = "detection"
    unit: ClassVar[str] = "pairs"
    # Of two proposals of different levels that are nearly the same, rounding may decide which is left.
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("boxes", "overlap", "px", "regions", jumps=0.02),
        Output("scores", "overlap", group="regions", jumps=0.02),
        Output("quality", "overlap", group="regions", optional=True, jumps=0.02),
        Output("visible", "overlap", "px", "regions", jumps=0.02, optional=True),
        Output("proposals", "overlap", "px", "regions", "place", jumps=0.02),
        Output("objectness", "overlap", group="regions", role="score", jumps=0.02),
    )

    def __post_init__(self) -> None:
        require(1 <= self.top_k <= 100_000, "form.top_k", "1..100000")
        require(1 <= self.each <= 100, "form.each", "1..100")

    def px(self, canvas: Size) -> float:
        return largest_shift(canvas)

    def ranked_together(self, height: int, width: int) -> list[int]:
        """Empty: the pairs of all proposals share the `top_k`."""
        return []

    def suppressed_inside(self) -> Form | None:
        return Graph(self.clip)

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The pairs of proposal and class whose score exceeds `suppress.conf`. NaN values are dropped."""
        [run] = runs
        boxes, scores = (_rows(run.outputs[name], self.each) for name in ("boxes", "scores"))
        quality, fused, columns = run.outputs.get("quality"), scores, list[Column]()
        if quality is not None:
            if quality.ndim == 1:
                quality = np.repeat(quality, self.each * scores.shape[1])
            quality = quality.reshape(scores.shape)
            fused = fuse(scores.ravel(), quality.ravel(), card.fusion).reshape(scores.shape)
        classes = class_numbers(card.labels)
        limited = fused if card.fusion.threshold_by == "fused" else scores
        rows, labels = np.nonzero(limited[:, classes] > card.suppress.conf)
        labels = classes[labels]
        if quality is not None:
            columns.append(Quality(quality[rows, labels]))
        places = labels if boxes.shape[1] > 1 else 0
        kept = clipped(in_image(boxes[rows, places], run.frame), run.frame, self.clip)
        if "visible" in run.outputs:
            visible = in_image(_rows(run.outputs["visible"], self.each)[rows, places], run.frame)
            columns.append(Visible(clipped(visible, run.frame, self.clip)))
        if card.suppress.kind == "set":
            columns.append(Proposal(rows // self.each))
        found = Instances(kept, fused[rows, labels], labels, card.labels, run.frame.extent).with_columns(*columns)
        return found[has_area(kept, card.suppress.inclusive)]


def _rows(values: NDArray[np.float32], each: int) -> NDArray[np.float32]:
    """One row for each object of a proposal: (k, each * m, ...) to (k * each, m, ...)."""
    return values.reshape(len(values) * each, values.shape[1] // each, *values.shape[2:])
