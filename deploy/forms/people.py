"""Poses that the graph has decoded, one row for each person: CID (CVPR 2022)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from ..columns.keypoints import Keypoints
from ..contract.parse import require
from ..contract.skeleton import Skeleton
from ..inputs.crop import WarpedFrame
from ..inputs.geometry import Place, Size
from ..results.instances import Instances
from ..system.errors import IncompatibleError
from .form import Contract, ImageForm, Output, Run
from .peaks import PEAK_STRIDE


@dataclass(frozen=True)
class People(ImageForm):
    """The best people of an image: `keypoints` (n, m, 2k), x and y px, and their `keypoint_scores` (n, m, k).

    `centres` (n, m, 2) xy px, `scores` (n, m) and `labels` (n, m) are those of the people, the best first. People whose
    score exceeds `least_centre` are found; their final score is the mean of their keypoint scores.
    """

    least_centre: float = 0.01
    kind: Literal["people"] = "people"

    task: ClassVar[str] = "pose"
    place: ClassVar[Place] = "cover"
    compares: ClassVar[str] = "poses"
    has_keypoints: ClassVar[bool] = True
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("centres", "place", "px", role="place"),
        Output("scores", "place", role="score"),
        Output("labels", "place", role="label"),
        # Of two pixels that are nearly equal either may be the highest.
        Output("keypoints", "place", "px", jumps=0.02),
        Output("keypoint_scores", "place"),
    )

    def __post_init__(self) -> None:
        require(0 <= self.least_centre <= 1, "form.least_centre", "0..1")

    def check(self, skeleton: Skeleton | None) -> None:
        require(skeleton is not None, "skeleton", "keypoints")

    def px(self, canvas: Size) -> float:
        return 8.0 * PEAK_STRIDE

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The people in px of the image.

        Raises IncompatibleError if the number of keypoints differs from that of the skeleton.
        """
        assert card.skeleton is not None
        [run] = runs
        frame = run.frame
        assert isinstance(frame, WarpedFrame)
        count, given = len(card.skeleton.keypoints), run.outputs["keypoint_scores"].shape[-1]
        if given != count:
            raise IncompatibleError(
                f"the model gives {given} keypoints, its Card's skeleton has {count}; "
                "the file was changed after its export; export it again"
            )
        places = run.outputs["keypoints"].reshape(-1, count, 2) / np.array(frame.canvas_size[::-1], np.float32)
        values = np.concatenate((frame.to_image(places), run.outputs["keypoint_scores"][..., None]), -1)
        values = values[(run.outputs["scores"] > self.least_centre) & np.isfinite(values).all((1, 2))]
        column = Keypoints(values.astype(np.float32), card.skeleton, np.zeros(len(values), np.float32))
        bounds = column.bounds()
        column = replace(column, areas=(bounds[:, 2:] - bounds[:, :2]).prod(1))
        labels = np.zeros(len(values), np.int64)
        shape = (frame.image_size[1], frame.image_size[0])
        return Instances.around([column], values[..., 2].mean(1), labels, card.labels, shape)
