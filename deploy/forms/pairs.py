"""What forms of paired corners share: every top-left corner is tried with every bottom-right one."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..columns.transform import Transform
from ..contract.parse import require
from ..contract.port import Arrays
from ..inputs.geometry import Frame, Size
from ..results.instances import Instances
from .boxes import clipped, in_image
from .form import Contract, ImageForm, Output, Run
from .peaks import PEAK_STRIDE

CORNERS = ("tl", "br")


def corner_outputs(*others: Output) -> tuple[Output, ...]:
    """The outputs of both corners: points, scores, labels and `others`, each as `tl_*` and `br_*`."""
    outputs: list[Output] = []
    for at in CORNERS:
        outputs += [
            Output(f"{at}_points", "place", "px", at, "place"),
            Output(f"{at}_scores", "place", group=at, role="score"),
            Output(f"{at}_labels", "place", group=at, role="label"),
            *(Output(f"{at}_{x.name}", x.compare, x.unit, at, embedding=x.embedding) for x in others),
        ]
    return tuple(outputs)


@dataclass(frozen=True)
class Pairs(ImageForm):
    """The best peaks of two heatmaps of corners, `tl_*` for top-left and `br_*` for bottom-right ones.

    Two corners of the same label form a box if they belong together; the `top_k` best boxes are kept. With `cut`
    "origin", negative coordinates are set to 0 before pairing, as in mmdet; with "image", boxes are clipped to the
    image after it, as in CornerNet's own code. With `flip` the mirrored image runs too, and the boxes of both are
    suppressed together.
    """

    top_k: int = 1000
    cut: Literal["origin", "image"] = "origin"
    flip: bool = False

    task: ClassVar[str] = "detection"

    def __post_init__(self) -> None:
        require(1 <= self.top_k <= 100_000, "form.top_k", "1..100000")

    def px(self, canvas: Size) -> float:
        return 8.0 * PEAK_STRIDE

    @abstractmethod
    def belong(
        self, out: Arrays, tl: NDArray[Any], br: NDArray[Any], boxes: NDArray[np.float32], frame: Frame
    ) -> NDArray[np.bool_]:
        """Which of the pairs (n,) of corners `tl` and `br` are of one object.

        `boxes` (n, 4) are theirs, xyxy px of the resized image.
        """

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

        Both corners have the same label and a mean score above `suppress.conf`, and they belong together; the
        bottom-right corner is to the right of and below the top-left one. If scores are equal, the pair with the better
        top-left corner comes first.
        """
        out = run.outputs
        scores = (out["tl_scores"][:, None] + out["br_scores"]) * np.float32(0.5)
        tl, br = np.nonzero((out["tl_labels"][:, None] == out["br_labels"]) & (scores > card.suppress.conf))
        boxes = in_image(np.concatenate((out["tl_points"][tl], out["br_points"][br]), 1), run.frame)
        if self.cut == "origin":
            boxes = np.maximum(boxes, 0)
        possible = (boxes[:, 2:] > boxes[:, :2]).all(1) & np.isfinite(boxes).all(1)
        tl, br, boxes = tl[possible], br[possible], boxes[possible]
        rows = np.flatnonzero(self.belong(out, tl, br, boxes, run.frame))
        if self.cut == "image":
            boxes = clipped(boxes, run.frame, "image")
        scores, labels = scores[tl, br], out["tl_labels"][tl]
        best = rows[np.argsort(-scores[rows], kind="stable")[: self.top_k]]
        return Instances(boxes[best], scores[best], labels[best], card.labels, run.frame.extent)
