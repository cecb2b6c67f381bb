"""Rotated boxes at every pixel of a map, as in text detection by EAST (Zhou et al., arXiv 1704.03155)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.parse import require
from ..inputs.geometry import Size
from ..results.instances import Instances
from .form import Contract, ImageForm, Output, Run
from .outlines import check_sizes, found_on_map, mean_inside


@dataclass(frozen=True)
class Rotated(ImageForm):
    """A score and a rotated box at every pixel: `scores` (n, 1, h, w), `distances` (n, 4, h, w), `angles` (n, 1, h, w).

    The distances are those of the pixel from the top, right, bottom and left side of its box, in px of the canvas. The
    angle is in radians, positive if the box is turned counter-clockwise. A pixel with a score above `suppress.conf` is
    a candidate; its place is its column and row times the stride.

    With the suppression "locality" the boxes of neighbouring pixels are merged, and the score of a box becomes the mean
    score of the pixels inside it. Boxes whose score is then not above `least` are dropped.
    """

    least: float = 0.1
    kind: Literal["rotated"] = "rotated"

    task: ClassVar[str] = "text detection"
    compares: ClassVar[str] = "rotated boxes"
    outputs: ClassVar[tuple[Output, ...]] = (Output("scores"), Output("distances", unit="px"), Output("angles"))

    def __post_init__(self) -> None:
        require(0 <= self.least <= 1, "form.least", "0..1")

    def px(self, canvas: Size) -> float:
        """A quarter of 512 px, the range of the distances: the steepest slope of their sigmoid."""
        return 128.0

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The candidates in the order of their pixels, or merged ones. Boxes that are not finite are dropped."""
        [run] = runs
        check_sizes(run, ("scores", "distances", "angles"))
        rule = card.suppress
        [values] = run.outputs["scores"].astype(np.float32, copy=False)
        rows, columns = np.nonzero(values > rule.conf)
        step = np.array(run.frame.canvas_size[::-1], np.float32) / np.array(values.shape[::-1], np.float32)
        quads = _corners(
            (np.stack((columns, rows), 1) * step).astype(np.float32),
            run.outputs["distances"][:, rows, columns],
            run.outputs["angles"][0, rows, columns],
        )
        finite = np.isfinite(quads).all((1, 2))
        quads, scores = quads[finite], np.ascontiguousarray(values[rows, columns][finite])
        if rule.kind == "locality":
            merged, _ = _native.locality_nms(quads, scores, rule.iou, rule.max_det)
            quads = merged.reshape(-1, 4, 2)
            quads = quads[np.isfinite(quads).all((1, 2))]
            scores = np.array([mean_inside(values, quad / step) for quad in quads], np.float32)
            quads, scores = quads[scores > self.least], scores[scores > self.least]
        return found_on_map(list(quads / step), scores.tolist(), values.shape, run, card)


def _corners(
    points: NDArray[np.float32], distances: NDArray[np.float32], angles: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The corners (n, 4, 2), from the top left clockwise, of boxes around points (n, 2)."""
    top, right, bottom, left = distances[..., None]
    along = np.stack((np.cos(angles), -np.sin(angles)), 1)
    down = np.stack((np.sin(angles), np.cos(angles)), 1)
    sides = ((-left, -top), (right, -top), (right, bottom), (-left, bottom))
    with np.errstate(all="ignore"):  # distances may be as large as floats are
        corners = [points + x * along + y * down for x, y in sides]
    return np.ascontiguousarray(np.stack(corners, 1), np.float32)
