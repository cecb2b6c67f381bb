"""Boxes from extreme points: ExtremeNet (arXiv 1901.08043, section 4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from .. import _native
from ..columns.transform import Transform
from ..contract.parse import require
from ..inputs.geometry import Size
from ..results.instances import Instances
from .boxes import clipped, in_image
from .form import Contract, ImageForm, Output, Run
from .peaks import PEAK_STRIDE

SIDES = ("t", "l", "b", "r")


def _outputs(at: str) -> tuple[Output, ...]:
    return (
        Output(f"{at}_points", "place", "px", at, "place"),
        Output(f"{at}_scores", "place", group=at, role="score", jumps=0.1),
        Output(f"{at}_labels", "place", group=at, role="label"),
        Output(f"{at}_cells", "place", group=at),
    )


@dataclass(frozen=True)
class Extremes(ImageForm):
    """The best topmost, leftmost, bottommost and rightmost points, and a heatmap of centres.

    The outputs are `points` (n, k, 2) xy px, `cells` (n, k, 2) xy of the map, `scores` and `labels` (n, k), each as
    `t_*`, `l_*`, `b_*` and `r_*`, and `centres` (n, classes, h, w). Four points of the same label form a box if each
    lies on its side of the others and the cell in their middle is a centre. Points score at least `least_point` and
    centres `least_centre`. The `top_k` best boxes are kept. With `flip` the mirrored image runs too; `scales` are those
    at which the image runs.
    """

    least_point: float = 0.1
    least_centre: float = 0.1
    top_k: int = 1000
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    kind: Literal["extremes"] = "extremes"

    task: ClassVar[str] = "detection"
    outputs: ClassVar[tuple[Output, ...]] = (*(output for at in SIDES for output in _outputs(at)), Output("centres"))

    def __post_init__(self) -> None:
        require(0 <= self.least_point <= 1, "form.least_point", "0..1")
        require(0 <= self.least_centre <= 1, "form.least_centre", "0..1")
        require(1 <= self.top_k <= 100_000, "form.top_k", "1..100000")
        require(len(self.scales) > 0 and all(0.1 <= s <= 8 for s in self.scales), "form.scales", "0.1..8")

    def px(self, canvas: Size) -> float:
        return 8.0 * PEAK_STRIDE

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The boxes of all views and scales in px of the image."""
        parts: list[Instances] = []
        for run in runs:
            found = self._grouped(run, card)
            width, height = found.image_size
            back = Transform((width, height), (-1.0, 1.0), (float(width), 0.0))
            found = found.mapped(back) if run.mirrored else found
            parts.append(found.scaled((run.frame.image_size[1], run.frame.image_size[0])))
        return Instances.joined(parts)

    def _grouped(self, run: Run, card: Contract) -> Instances:
        """The boxes that score above `suppress.conf`, best first, in px of the resized image."""
        out = run.outputs
        cells, scores, labels = (
            np.stack([out[f"{at}_{name}"] for at in SIDES]) for name in ("cells", "scores", "labels")
        )
        centres = np.ascontiguousarray(out["centres"])
        limits = self.least_point, self.least_centre, card.suppress.conf, self.top_k
        rows, found = _native.group_extremes(cells, scores, labels, centres, *limits)
        top, left, bottom, right = rows.reshape(-1, 4).T
        ends = out["l_points"][left, 0], out["t_points"][top, 1], out["r_points"][right, 0], out["b_points"][bottom, 1]
        boxes = clipped(in_image(np.stack(ends, 1), run.frame), run.frame, "image")
        good = np.isfinite(boxes).all(1)
        return Instances(boxes[good], found[good], out["t_labels"][top][good], card.labels, run.frame.extent)
