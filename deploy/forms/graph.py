"""Files that run suppression in their graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..columns.column import Column
from ..columns.masks import Masks, Paste
from ..columns.quality import Quality
from ..contract.fusion import fuse
from ..inputs.geometry import Size
from ..results.instances import Instances
from ..system.errors import IncompatibleError
from .beside import KEYPOINTS, keypoints_beside, keypoints_within
from .boxes import Clip, clipped, has_area, in_image, largest_shift
from .form import Contract, ImageForm, Output, Run


@dataclass(frozen=True)
class Graph(ImageForm):
    """Suppressed detections: `boxes` (n, m, 4) px, `scores` and `labels` (n, m), `num` (n,).

    If the Card has a skeleton, there are `keypoints` (n, m, 2k), x and y px of each, and maybe their `keypoint_scores`
    (n, m, k); or `heatmaps` (n, m, k, s, s) over each box. There may be `masks` (n, m, s, s), probabilities on a grid
    over each box, which are pasted by the rule `paste`, and the `quality` (n, m) of these. Rows from `num` to m are
    padding. `clip` is where boxes are clipped.
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
        Output("quality", "overlap", "range", group="detections", optional=True),
        Output("heatmaps", "overlap", "range", group="detections", optional=True),
        *KEYPOINTS,
    )
    suppresses: ClassVar[bool] = True
    least_conf: ClassVar[float] = 0.05

    def px(self, canvas: Size) -> float:
        return largest_shift(canvas)

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The first `num` rows whose score exceeds `suppress.conf`. Raises IncompatibleError for an unknown label."""
        [run] = runs
        count, columns = int(run.outputs["num"]), list[Column]()
        outputs = {name: values[:count] for name, values in run.outputs.items() if name != "num"}
        boxes = clipped(in_image(outputs["boxes"], run.frame), run.frame, self.clip)
        scores = outputs["scores"]
        quality = outputs.get("quality")
        fused = scores if quality is None else fuse(scores, quality, card.fusion)
        limited = fused if card.fusion.threshold_by == "fused" else scores
        rows = np.flatnonzero(has_area(boxes, card.suppress.inclusive) & (limited > card.suppress.conf))
        boxes, labels = boxes[rows], outputs["labels"][rows].astype(np.int64)
        if (unknown := labels[(labels < 0) | (labels >= len(card.labels))]).size:
            raise IncompatibleError(
                f"the model gives the label {unknown[0]}, its Card has {len(card.labels)} labels, from 0; export or "
                "adopt it again with a label for each number"
            )
        if quality is not None:
            columns.append(Quality(quality[rows]))
        if card.skeleton is not None and "heatmaps" in outputs:
            columns.append(keypoints_within(outputs["heatmaps"][rows], boxes, card.skeleton))
        elif card.skeleton is not None:
            columns.append(keypoints_beside(outputs, rows, boxes, fused[rows], run.frame, card.skeleton))
        if "masks" in outputs:
            columns.append(Masks(outputs["masks"][rows], boxes, run.frame.extent, self.paste))
        return Instances(boxes, fused[rows], labels, card.labels, run.frame.extent).with_columns(*columns)
