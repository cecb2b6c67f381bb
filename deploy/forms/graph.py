"""Files that run suppression in their graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..columns.masks import Masks, Paste
from ..inputs.geometry import Size
from ..results.instances import Instances
from ..system.errors import IncompatibleError
from .beside import KEYPOINTS, keypoints_beside
from .boxes import Clip, clipped, has_area, in_image, largest_shift
from .form import Contract, ImageForm, Output, Run


@dataclass(frozen=True)
class Graph(ImageForm):
    """Suppressed detections: `boxes` (n, m, 4) px, `scores` and `labels` (n, m), `num` (n,).

    If the Card has a skeleton, there are `keypoints` (n, m, 2k), x and y px of each, and maybe their `keypoint_scores`
    (n, m, k). There may be `masks` (n, m, s, s), probabilities on a grid over each box, which are pasted by the rule
    `paste`. Rows from `num` to m are padding. `clip` is where boxes are clipped.
    """

    clip: Clip = "image"
    paste: Paste = "exact"
    kind: Literal["graph"] = "graph"

    task: ClassVar[str] = "detection"
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("num"),
        Output("boxes", "overlap", "px", "detections", "place"),
        Output("scores", "overlap", group="detections", role="score"),
        Output("labels", "overlap", group="detections", role="label"),
        Output("masks", "overlap", group="detections", optional=True),
        *KEYPOINTS,
    )
    suppresses: ClassVar[bool] = True
    least_conf: ClassVar[float] = 0.05

    def px(self, canvas: Size) -> float:
        return largest_shift(canvas)

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The first `num` rows whose score exceeds `suppress.conf`. Raises IncompatibleError for an unknown label."""
        [run] = runs
        count = int(run.outputs["num"])
        boxes, scores, labels = (run.outputs[name][:count] for name in ("boxes", "scores", "labels"))
        boxes = clipped(in_image(boxes, run.frame), run.frame, self.clip)
        found = Instances(boxes, scores, labels.astype(np.int64), card.labels, run.frame.extent)
        if card.skeleton is not None:
            rows = np.arange(len(scores))
            found = found.with_columns(keypoints_beside(run.outputs, rows, boxes, scores, run.frame, card.skeleton))
        if (grids := run.outputs.get("masks")) is not None:
            found = found.with_columns(Masks(grids[:count], boxes, run.frame.extent, self.paste))
        found = found[has_area(boxes, card.suppress.inclusive) & (scores > card.suppress.conf)]
        if (unknown := found.labels[(found.labels < 0) | (found.labels >= len(card.labels))]).size:
            raise IncompatibleError(
                f"the model gives the label {unknown[0]}, its Card has {len(card.labels)} labels, from 0; export or "
                "adopt it again with a label for each number"
            )
        return found
