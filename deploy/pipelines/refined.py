"""A pipeline that finds poses, and a network that refines them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..card import Card
from ..columns.keypoints import Keypoints
from ..contract.skeleton import Skeleton
from ..inputs.geometry import Image
from ..inputs.network_inputs import PoseInput
from ..results.instances import Instances
from ..system.errors import UsageError
from .crops import PoseEstimator
from .pipeline import Pipeline

_MARGIN, _LEAST = 1.2, 20.0
"""The sides of a pose's box over those of its keypoints' bounds, and the least in px (PoseFix, arXiv 1812.03595)."""


class Refined(Pipeline):
    """Runs a pipeline that finds poses, then a refinement network on all poses of all images together.

    The places of keypoints are the refinement's; boxes, and the scores of people and keypoints are as before.
    """

    def __init__(self, first: Pipeline, refiner: PoseEstimator) -> None:
        self.first, self.refiner = first, refiner
        self.takes_boxes = first.takes_boxes
        if not any(isinstance(each, PoseInput) for each in refiner.card.inputs):
            raise UsageError(f"{refiner.card.model} does not refine poses; choose a network that takes a pose")

    @property
    def card(self) -> Card:
        return self.first.card

    @property
    def skeleton(self) -> Skeleton | None:
        return self.first.skeleton

    def find(self, images: Sequence[Image]) -> list[Instances]:
        return self._refined(images, self.first.find(images))

    def find_with(self, images: Sequence[Image], **given: Sequence[Any]) -> list[Instances]:
        return self._refined(images, self.first.find_with(images, **given))

    def find_tiled(self, image: Image, tile: int, overlap: float) -> Instances:
        return self._refined([image], [self.first.find_tiled(image, tile, overlap)])[0]

    def _refined(self, images: Sequence[Image], found: Sequence[Instances]) -> list[Instances]:
        poses = [self._poses(one) for one in found]
        crops = [replace(one, boxes=_boxes(pose)) for one, pose in zip(found, poses, strict=True)]
        return [_joined(*each) for each in zip(found, poses, self.refiner.estimate(images, crops), strict=True)]

    def _poses(self, found: Instances) -> Keypoints:
        poses = found.columns.get("keypoints")
        if not isinstance(poses, Keypoints):
            raise UsageError(f"{self.card.model} finds no poses to refine; add a pose network")
        return poses


def _boxes(poses: Keypoints) -> NDArray[np.float32]:
    """The boxes (n, 4) xyxy px in which poses are refined."""
    bounds = poses.bounds()
    low, high = bounds[:, :2], bounds[:, 2:]
    centre, half = (low + high) / 2, np.maximum((high - low) * _MARGIN, _LEAST) / 2
    return np.concatenate((centre - half, centre + half), 1).astype(np.float32)


def _joined(found: Instances, poses: Keypoints, refined: Instances) -> Instances:
    """The detections with refined places. A keypoint with a score of 0 was not found, and stays."""
    new: NDArray[np.float32] = refined.keypoints
    is_seen = poses.values[..., 2:] > 0
    places = np.where(is_seen, new[..., :2], poses.values[..., :2])
    values = np.concatenate((places, poses.values[..., 2:]), -1).astype(np.float32)
    timing = {stage: ms + refined.timing.get(stage, 0) for stage, ms in found.timing.items()}
    return replace(found, timing=timing).with_columns(replace(poses, values=values))
