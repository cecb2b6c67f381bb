"""Poses, top down: every box becomes a crop, and all crops of a call run together."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .backends import Arrays, Backend
from .canvases import Canvases
from .card import Card
from .crop import Crop, crop_for, crops_into
from .decode.keypoints import keypoints
from .detector import Detector
from .errors import UsageError
from .forms import CropDecode
from .instances import Instances
from .oks import suppress_poses
from .pipeline import Pipeline, check_outputs, checked, timed
from .preprocess import Image
from .scores import fuse

Rows = Sequence[ArrayLike]
"""An array for each image."""

_MOST_CROPS = 64
"""So many crops run at once: more are no faster and take memory."""


class PoseEstimator:
    """A pose network for crops with everything around it; safe to call from several threads."""

    def __init__(self, backend: Backend, card: Card) -> None:
        check_outputs(backend, card)
        assert isinstance(card.decode, CropDecode) and card.skeleton is not None and card.input.size is not None
        self.card, self.skeleton = card, card.skeleton
        self._decode: CropDecode = card.decode
        self._canvas = card.input.size
        self._backend = backend
        self._canvases = Canvases()
        self._input = backend.inputs[0].name
        self._fixed_batch = backend.inputs[0].shape[0]

    @overload
    def __call__(self, image: Image, boxes: ArrayLike | None = None, scores: ArrayLike | None = None) -> Instances: ...
    @overload
    def __call__(
        self, image: Sequence[Image], boxes: Rows | None = None, scores: Rows | None = None
    ) -> list[Instances]: ...
    def __call__(
        self, image: Image | Sequence[Image], boxes: Any = None, scores: Any = None
    ) -> Instances | list[Instances]:
        """The pose in each box, in the order of the boxes: none goes, whatever its score.

        Shapes: image (h, w, 3) uint8 BGR, boxes (n, 4) xyxy px, scores (n,), 1 where there are none; or a list of
        each. A pose's score is that of its box times that of its keypoints, as the Card's fusion has it.
        Raises UsageError for what is no image or no box.
        """
        if boxes is None:
            raise UsageError(
                f"{self.card.model} wants the boxes of what it looks at; give them with boxes= or --boxes, "
                "or make it the pose model of a detector"
            )
        if isinstance(image, np.ndarray):
            return self.estimate(checked([image]), [self._given(image, boxes, scores)])[0]
        given = zip(checked(image), boxes, scores or [None] * len(image), strict=True)
        return self.estimate(image, [self._given(*each) for each in given])

    def estimate(self, images: Sequence[Image], found: Sequence[Instances]) -> list[Instances]:
        """The pose in every box of `found`, one of them an image, whose other fields stay."""
        timing = {"pre": 0.0, "infer": 0.0, "post": 0.0}
        with timed(timing, "pre"):
            crops = [[crop_for(box, self.card.input) for box in one.boxes] for one in found]
            ends = np.cumsum([0, *map(len, crops)]).tolist()
            canvases = self._canvases.take((ends[-1], 3, *self._canvas))
            for (start, end), image, own in zip(pairwise(ends), images, crops, strict=True):
                crops_into(canvases[start:end], image, own, self.card.input)
        with timed(timing, "infer"):
            seen = self._run(canvases)
            mirrored = self._run(canvases[..., ::-1]) if self._decode.flip else None
        with timed(timing, "post"):
            parts, confidence = self._keypoints(seen, mirrored, len(canvases))
            poses = [
                self._place(one, own, parts[start:end], confidence[start:end])
                for (start, end), one, own in zip(pairwise(ends), found, crops, strict=True)
            ]
        return [
            replace(pose, timing={stage: 1e3 * s * len(pose) / max(1, ends[-1]) for stage, s in timing.items()})
            for pose in poses
        ]

    def _given(self, image: Image, boxes: ArrayLike, scores: ArrayLike | None) -> Instances:
        """Boxes of a caller as detections of the first label."""
        rows = np.array(boxes, np.float32).reshape(-1, 4)
        own = np.ones(len(rows), np.float32) if scores is None else np.array(scores, np.float32)
        if own.shape != (len(rows),):
            raise UsageError(f"{len(rows)} boxes want as many scores, not an array of {own.shape}")
        size = (image.shape[1], image.shape[0])
        return Instances(rows, own, np.zeros(len(rows), np.int64), self.card.labels, size)

    def _run(self, canvases: NDArray[np.float32]) -> list[Arrays]:
        """The outputs of all crops, run by run."""
        outputs: list[Arrays] = []
        step = self._fixed_batch or _MOST_CROPS
        for start in range(0, len(canvases), step):
            batch = np.ascontiguousarray(canvases[start : start + step])
            if self._fixed_batch and (missing := step - len(batch)):
                batch = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0)))
            outputs.append(self._backend.run({self._input: batch}))
        return outputs

    def _keypoints(
        self, seen: list[Arrays], mirrored: list[Arrays] | None, count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of `count` crops, positions (n, k, 2) in parts of the crop and scores (n, k)."""
        named = len(self.skeleton.keypoints)
        parts = [np.empty((0, named, 2), np.float32)]
        confidence = [np.empty((0, named), np.float32)]
        for one, other in zip(seen, mirrored or [None] * len(seen), strict=True):
            rows = keypoints(one, other, self._decode, self.skeleton, self.card.input.spacing, self._canvas)
            parts.append(rows[0])
            confidence.append(rows[1])
        return np.concatenate(parts)[:count], np.concatenate(confidence)[:count]

    def _place(
        self, found: Instances, crops: Sequence[Crop], parts: NDArray[np.float32], confidence: NDArray[np.float32]
    ) -> Instances:
        """Keypoints in px of the image, and the score of each pose."""
        places = [crop.to_image(own) for crop, own in zip(crops, parts, strict=True)]
        points = np.stack(places) if places else parts
        scores = fuse(found.scores, quality(confidence, self._decode.visible), self.card.fusion)
        rows = np.concatenate((points, confidence[..., None]), -1).astype(np.float32)
        return replace(found, scores=scores.astype(np.float32), keypoints=rows, skeleton=self.skeleton)


class TopDown(Pipeline):
    """A detector, and a pose network on those of its boxes that have a label of the pose network's.

    The pose network's Card says which of two poses so alike that they are one person's stays.
    """

    def __init__(self, detector: Detector, estimator: PoseEstimator) -> None:
        self.detector, self.estimator = detector, estimator
        names = {name: i for i, name in enumerate(estimator.card.labels)}
        self._labels = np.array([names.get(name, -1) for name in detector.card.labels])
        if (self._labels < 0).all():
            raise UsageError(
                f"{estimator.card.model} looks at {', '.join(estimator.card.labels)}, which {detector.card.model} "
                "does not find; choose a detector that does"
            )

    def _find(self, images: Sequence[Image]) -> list[Instances]:
        return self.complete(images, self.detector(images))

    def complete(self, images: Sequence[Image], found: Sequence[Instances]) -> list[Instances]:
        """Detections to poses, best first; the time of both counts."""
        boxes = [self._of_interest(one) for one in found]
        poses = self.estimator.estimate(images, boxes)
        extra = {"pre": 0.0, "infer": 0.0, "post": 0.0}
        with timed(extra, "post"):
            kept = [suppressed(pose, self.estimator.card) for pose in poses]
        each = 1e3 / max(1, len(kept))
        return [
            replace(pose, timing={s: ms + one.timing.get(s, 0) + each * extra[s] for s, ms in pose.timing.items()})
            for pose, one in zip(kept, found, strict=True)
        ]

    def _of_interest(self, found: Instances) -> Instances:
        labels = self._labels[found.labels]
        chosen = found[labels >= 0]
        return replace(chosen, labels=labels[labels >= 0], names=self.estimator.card.labels)


def quality(confidence: NDArray[np.float32], visible: float | None) -> NDArray[np.float32]:
    """Of each pose (n,): the mean of its keypoint scores (n, k) above `visible`, 0 where none is, or of all."""
    if visible is None:
        return confidence.mean(1)
    counted = confidence > visible
    return np.where(counted, confidence, 0).sum(1) / np.maximum(counted.sum(1), 1)


def suppressed(poses: Instances, card: Card) -> Instances:
    """The poses that stay by the Card's suppression, best first. Their size is that of their crops, as published."""
    assert poses.keypoints is not None and poses.skeleton is not None
    areas = np.array([np.prod(crop_for(box, card.input).size) for box in poses.boxes], np.float32)
    kept, scores = suppress_poses(poses.keypoints, poses.scores, areas, poses.skeleton.sigmas, card.suppress)
    return replace(poses[kept], scores=scores)
