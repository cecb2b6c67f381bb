"""The best peaks of a heatmap of object centres, each with a box."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..inputs.geometry import Size
from ..results.instances import Instances
from .boxes import in_image
from .form import Contract, ImageForm, Output, Run

PEAK_STRIDE = 4
"""The stride in px of all heatmaps of objects."""


@dataclass(frozen=True)
class Peaks(ImageForm):
    """The best peaks of a heatmap of centres: `boxes` (n, k, 4) px, `scores` (n, k) and `labels` (n, k)."""

    kind: Literal["peaks"] = "peaks"

    task: ClassVar[str] = "detection"
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("boxes", "place", "px", role="place"),
        Output("scores", "place", role="score"),
        Output("labels", "place", role="label"),
    )

    def px(self, canvas: Size) -> float:
        return 8.0 * PEAK_STRIDE

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The peaks whose score exceeds `suppress.conf`."""
        [run] = runs
        boxes, scores, labels = (run.outputs[name] for name in ("boxes", "scores", "labels"))
        found = Instances(in_image(boxes, run.frame), scores, labels, card.labels, run.frame.extent)
        return found[(scores > card.suppress.conf) & np.isfinite(boxes).all(1)]
