"""A detector and a pose network that runs on its boxes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..card import Card
from ..contract.camera import Camera
from ..contract.skeleton import Skeleton
from ..inputs.geometry import Image
from ..results.instances import Instances
from ..system.errors import UsageError
from .crops import PoseEstimator
from .pipeline import Pipeline, no_time, timed


class TopDown(Pipeline):
    """Runs a detector, and a pose network on its boxes whose label the pose network knows.

    Duplicate poses are suppressed by the rule in the pose network's Card.

    >>> both = load("gfl_markers", pose_model="corners_markers")
    >>> found = both(image)
    >>> found.boxes.shape, found.keypoints.shape
    ((1, 4), (1, 4, 3))
    """

    def __init__(self, detector: Pipeline, estimator: PoseEstimator) -> None:
        self.detector, self.estimator = detector, estimator
        names = {name: i for i, name in enumerate(estimator.card.labels)}
        self._labels = np.array([names.get(name, -1) for name in detector.card.labels])
        if (self._labels < 0).all():
            raise UsageError(
                f"{estimator.card.model} needs boxes of {', '.join(estimator.card.labels)}, which "
                f"{detector.card.model} does not detect; choose another detector"
            )

    @property
    def card(self) -> Card:
        return self.detector.card

    @property
    def last_card(self) -> Card:
        return self.estimator.card

    @property
    def skeleton(self) -> Skeleton | None:
        return self.estimator.skeleton

    def find(self, images: Sequence[Image]) -> list[Instances]:
        return self.complete(images, self.detector.find(images))

    def find_with(self, images: Sequence[Image], **given: Sequence[Any]) -> list[Instances]:
        if others := {name for name in given if not getattr(self, f"takes_{name}", False)}:
            return super().find_with(images, **{name: given[name] for name in others})
        return self.complete(images, self.detector.find(images), given.get("camera"), given.get("depth"))

    def find_tiled(self, image: Image, tile: int, overlap: float) -> Instances:
        return self.complete([image], [self.detector.find_tiled(image, tile, overlap)])[0]

    def complete(
        self,
        images: Sequence[Image],
        found: Sequence[Instances],
        cameras: Sequence[Camera] | None = None,
        depths: Sequence[Any] | None = None,
    ) -> list[Instances]:
        """Estimate a pose for each detection and suppress duplicates, best first. `timing` includes the detector's."""
        boxes = [self._of_interest(one) for one in found]
        poses = self.estimator.estimate(images, boxes, cameras, depths)
        extra = no_time()
        with timed(extra, "post"):
            kept = [self.estimator.suppressed(pose) for pose in poses]
        each = 1e3 / max(1, len(kept))
        return [
            replace(pose, timing={s: ms + one.timing.get(s, 0) + each * extra[s] for s, ms in pose.timing.items()})
            for pose, one in zip(kept, found, strict=True)
        ]

    def _of_interest(self, found: Instances) -> Instances:
        labels = self._labels[found.labels]
        chosen = found[labels >= 0]
        return replace(chosen, labels=labels[labels >= 0], names=self.estimator.card.labels)
