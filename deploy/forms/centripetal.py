"""Pairs of corners that point at the same centre: CentripetalNet (arXiv 2003.09119, section 3.2)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..contract.parse import require
from ..contract.port import Arrays
from ..inputs.geometry import Frame
from .boxes import in_image
from .form import Output
from .pairs import Pairs, corner_outputs

_LARGE = 3500  # px^2; boxes with a larger area have a central region of another share (section 4.1)


@dataclass(frozen=True)
class Centripetal(Pairs):
    """Corners with the centre of their object as each predicts it.

    The outputs are `points` and `centres` (n, k, 2) xy px, `scores` and `labels` (n, k), each as `tl_*` and `br_*`. Two
    corners belong together if both centres lie in the central region of their box, and if the rectangle between the
    centres has at most the share `spread` of its area. The sides of a central region are those of its box divided by
    `shrink`, of which the first is for small boxes.
    """

    shrink: tuple[float, float] = (2.4, 2.1)
    spread: float = 0.5
    kind: Literal["centripetal"] = "centripetal"

    outputs: ClassVar[tuple[Output, ...]] = corner_outputs(Output("centres", "place", "px"))

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.shrink) == 2 and min(self.shrink) >= 1, "form.shrink", "two numbers of 1 or more")
        require(0 <= self.spread <= 1, "form.spread", "0..1")

    def belong(
        self, out: Arrays, tl: NDArray[Any], br: NDArray[Any], boxes: NDArray[np.float32], frame: Frame
    ) -> NDArray[np.bool_]:
        first, second = (in_image(out[f"{at}_centres"], frame)[rows] for at, rows in (("tl", tl), ("br", br)))
        if self.cut == "origin":
            first, second = np.maximum(first, 0), np.maximum(second, 0)
        middle, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        small, large = (np.float32(1 / factor) for factor in self.shrink)
        region = sides * np.where(sides.prod(1) > _LARGE, large, small)[:, None]
        inside = [(np.abs(centre - middle) < region / 2).all(1) for centre in (first, second)]
        return inside[0] & inside[1] & (np.abs(second - first).prod(1) <= self.spread * region.prod(1))
