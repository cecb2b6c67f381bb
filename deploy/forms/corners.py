"""Pairs of top-left and bottom-right corners with alike tags: CornerNet (arXiv 1808.01244, section 4.2)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..contract.parse import require
from ..contract.port import Arrays
from ..inputs.geometry import Frame
from .form import Output
from .pairs import Pairs, corner_outputs


@dataclass(frozen=True)
class Corners(Pairs):
    """Corners with tags, which are alike for the corners of one object.

    The outputs are `points` (n, k, 2) xy px, `scores`, `labels` and `tags` (n, k), each as `tl_*` and `br_*`. Two
    corners belong together if their tags differ by at most `tag_distance`.
    """

    tag_distance: float = 0.5
    kind: Literal["corners"] = "corners"

    outputs: ClassVar[tuple[Output, ...]] = corner_outputs(Output("tags", "place", embedding=True))

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.tag_distance >= 0, "form.tag_distance", "0 or more")

    def belong(
        self, out: Arrays, tl: NDArray[Any], br: NDArray[Any], boxes: NDArray[np.float32], frame: Frame
    ) -> NDArray[np.bool_]:
        return np.abs(out["tl_tags"][tl] - out["br_tags"][br]) <= self.tag_distance
