"""Files that run suppression in their graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..results.instances import Instances
from .boxes import Clip, clipped, has_area, in_image
from .form import Contract, ImageForm, Output, Run


@dataclass(frozen=True)
class Graph(ImageForm):
    """Suppressed detections: `boxes` (n, m, 4) px, `scores` and `labels` (n, m), `num` (n,).

    Rows from `num` to m are padding. `clip` is where boxes are clipped.
    """

    clip: Clip = "image"
    kind: Literal["graph"] = "graph"

    task: ClassVar[str] = "detection"
    outputs: ClassVar[tuple[Output, ...]] = (Output("boxes"), Output("scores"), Output("labels"), Output("num"))
    suppresses: ClassVar[bool] = True
    least_conf: ClassVar[float] = 0.05

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The first `num` rows whose score exceeds `suppress.conf`."""
        [run] = runs
        count = int(run.outputs["num"])
        boxes, scores, labels = (run.outputs[name][:count] for name in ("boxes", "scores", "labels"))
        boxes = clipped(in_image(boxes, run.frame), run.frame, self.clip)
        found = Instances(boxes, scores, labels.astype(np.int64), card.labels, run.frame.extent)
        return found[has_area(boxes, card.suppress.inclusive) & (scores > card.suppress.conf)]
