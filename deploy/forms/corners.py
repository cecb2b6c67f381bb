"""Pairs of top-left and bottom-right corners: CornerNet (arXiv 1808.01244, section 4.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..columns.transform import Transform
from ..contract.parse import require
from ..inputs.geometry import Size
from ..results.instances import Instances
from .boxes import clipped, in_image
from .form import Contract, ImageForm, Output, Run
from .peaks import PEAK_STRIDE


@dataclass(frozen=True)
class Corners(ImageForm):
    """The best peaks of two heatmaps of corners.

    The outputs are `points` (n, k, 2) xy px, `scores`, `labels` and `tags` (n, k), each as `tl_*` for top-left and
    `br_*` for bottom-right corners. Two corners of the same label form a box if their tags differ by at most
    `tag_distance`; the `top_k` best boxes are kept. With `cut` "origin", negative coordinates are set to 0 before
    pairing, as in mmdet; with "image", boxes are clipped to the image after it, as in the authors' code. With `flip`
    the mirrored image runs too, and the boxes of both are suppressed together.
    """

    tag_distance: float = 0.5
    top_k: int = 1000
    cut: Literal["origin", "image"] = "origin"
    flip: bool = False
    kind: Literal["corners"] = "corners"

    task: ClassVar[str] = "detection"
    outputs: ClassVar[tuple[Output, ...]] = tuple(
        output
        for at in ("tl", "br")
        for output in (
            Output(f"{at}_points", "place", "px", at, "place"),
            Output(f"{at}_scores", "place", group=at, role="score"),
            Output(f"{at}_labels", "place", group=at, role="label"),
            Output(f"{at}_tags", "place", group=at, embedding=True),
        )
    )

    def __post_init__(self) -> None:
        require(self.tag_distance >= 0, "form.tag_distance", "0 or more")
        require(1 <= self.top_k <= 100_000, "form.top_k", "1..100000")

    def px(self, canvas: Size) -> float:
        return 8.0 * PEAK_STRIDE

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The boxes of all views; those of the mirrored view are mirrored back."""
        parts: list[Instances] = []
        for run in runs:
            pairs = self._pairs(run, card)
            width, height = pairs.image_size
            back = Transform((width, height), (-1.0, 1.0), (float(width), 0.0))
            parts.append(pairs.mapped(back) if run.mirrored else pairs)
        return Instances.joined(parts)

    def _pairs(self, run: Run, card: Contract) -> Instances:
        """The pairs of corners that form a box, in px of the resized image.

        Both corners have the same label, tags that differ by at most `tag_distance`, and a mean score above
        `suppress.conf`; the bottom-right corner is to the right of and below the top-left one. If scores are equal, the
        pair with the better top-left corner comes first.
        """
        out = run.outputs
        scores = (out["tl_scores"][:, None] + out["br_scores"]) * np.float32(0.5)
        distance = np.abs(out["tl_tags"][:, None] - out["br_tags"])
        alike = (out["tl_labels"][:, None] == out["br_labels"]) & (distance <= self.tag_distance)
        tl, br = np.nonzero(alike & (scores > card.suppress.conf))
        boxes = in_image(np.concatenate((out["tl_points"][tl], out["br_points"][br]), 1), run.frame)
        if self.cut == "origin":
            boxes = np.maximum(boxes, 0)
        rows = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(1) & np.isfinite(boxes).all(1))
        if self.cut == "image":
            boxes = clipped(boxes, run.frame, "image")
        scores, labels = scores[tl, br], out["tl_labels"][tl]
        best = rows[np.argsort(-scores[rows], kind="stable")[: self.top_k]]
        return Instances(boxes[best], scores[best], labels[best], card.labels, run.frame.extent)
