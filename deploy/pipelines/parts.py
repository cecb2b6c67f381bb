"""A pipeline that finds poses, and a pose network that looks closer at their hands or faces."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..card import Card
from ..columns.keypoints import DRAWN
from ..contract.camera import Camera
from ..contract.skeleton import Skeleton
from ..inputs.geometry import Image
from ..results.instances import Instances
from ..system.errors import UsageError
from .crops import PoseEstimator
from .pipeline import Pipeline

_SIDES = ("", "left_", "right_")


def parts_of(skeleton: Skeleton | None, label: str) -> list[list[int]]:
    """The keypoints of each part of a body with this name: those of "left_hand_wrist" are a "hand"."""
    names = () if skeleton is None else skeleton.keypoints
    groups = ([i for i, name in enumerate(names) if name.startswith(f"{side}{label}_")] for side in _SIDES)
    return [group for group in groups if len(group) > 1]


class Parts(Pipeline):
    """Runs a pipeline that finds poses of whole bodies, and a pose network on the box of each hand or face in them.

    The box of a part is that around its keypoints with a score above 0.3. Parts with fewer than half of their keypoints
    are left out. The results are the parts with the keypoints of the second network, without duplicates, best first.
    """

    def __init__(self, first: Pipeline, estimator: PoseEstimator) -> None:
        self.first, self.estimator = first, estimator
        self.takes_boxes = first.takes_boxes
        labels = range(len(estimator.card.labels))
        self._groups = [(i, part) for i in labels for part in parts_of(first.skeleton, estimator.card.labels[i])]

    @property
    def card(self) -> Card:
        return self.first.card

    @property
    def skeleton(self) -> Skeleton | None:
        return self.estimator.skeleton

    def find(self, images: Sequence[Image]) -> list[Instances]:
        return self._looked_at(images, self.first.find(images))

    def find_with(self, images: Sequence[Image], **given: Sequence[Any]) -> list[Instances]:
        return self._looked_at(images, self.first.find_with(images, **given))

    def estimate(
        self,
        images: Sequence[Image],
        found: Sequence[Instances],
        cameras: Sequence[Camera] | None = None,
        depths: Sequence[Any] | None = None,
    ) -> list[Instances]:
        """The parts in the boxes of each image's detections, of a first network that takes boxes."""
        if not isinstance(self.first, PoseEstimator | Parts):
            raise UsageError(f"{self.first.card.model} finds people itself; leave out the boxes")
        return self._looked_at(images, self.first.estimate(images, found, cameras, depths))

    def suppressed(self, found: Instances) -> Instances:
        """The results after the suppression of the second network's Card, best first."""
        return self.estimator.suppressed(found)

    def _looked_at(self, images: Sequence[Image], found: Sequence[Instances]) -> list[Instances]:
        results = self.estimator.estimate(images, [self._parts(one) for one in found])
        timings = [
            {stage: ms + one.timing.get(stage, 0) for stage, ms in part.timing.items()}
            for part, one in zip(results, found, strict=True)
        ]
        return [replace(self.suppressed(part), timing=own) for part, own in zip(results, timings, strict=True)]

    def _parts(self, found: Instances) -> Instances:
        """The boxes of all parts; the score of each is the mean of its keypoints'."""
        boxes: list[Any] = []
        scores: list[float] = []
        labels: list[int] = []
        for pose in found.keypoints:
            for label, group in self._groups:
                seen = pose[group][pose[group, 2] > DRAWN]
                if 2 * len(seen) < len(group):
                    continue
                boxes.append((*seen[:, :2].min(0), *seen[:, :2].max(0)))
                scores.append(float(seen[:, 2].mean()))
                labels.append(label)
        return Instances(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(scores, np.float32),
            np.array(labels, np.int64),
            self.estimator.card.labels,
            found.image_size,
        )
