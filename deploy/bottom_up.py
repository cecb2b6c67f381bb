"""Poses, bottom up: one network sees all people of an image at once, and their keypoints are grouped."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from . import _native
from .backends import Arrays, Backend
from .canvases import Canvases
from .card import Card
from .crop import Crop, crop_whole, crops_into
from .decode.tags import People, decode
from .forms import TagDecode
from .instances import Instances
from .oks import suppress_poses
from .pipeline import Pipeline, check_outputs, timed
from .preprocess import Image

_MOST_PIXELS = 1 << 22
"""So many px of canvases run at once: their maps at full size take 400 bytes a px."""

Floats = NDArray[np.float32]


class BottomUp(Pipeline):
    """A network that gives heatmaps and tags with everything around it.

    The image runs at every scale of the Card, and mirrored where it says so. All heatmaps are averaged; tags are those
    of scale 1. Maps are brought to the size of the canvas at scale 1, or with `input.spacing` to that of the maps of
    the largest scale (HigherHRNet, arXiv 1908.10357, section 3.4, and mmpose 0.x). A box is the bounds of the keypoints
    that were found.
    """

    def __init__(self, backend: Backend, card: Card) -> None:
        check_outputs(backend, card)
        assert isinstance(card.decode, TagDecode) and card.skeleton is not None
        self.card, self.skeleton = card, card.skeleton
        self._decode: TagDecode = card.decode
        self._backend = backend
        self._canvases = Canvases()
        self._input = backend.inputs[0].name
        self._fixed_batch = backend.inputs[0].shape[0]
        plain, mirrored = range(len(self.skeleton.keypoints)), self.skeleton.mirrored()
        self._orders = [np.array(order) for order in ([plain, mirrored] if card.decode.flip else [plain])]

    def _find(self, images: Sequence[Image]) -> list[Instances]:
        groups: dict[tuple[int, int], list[int]] = {}
        for i, image in enumerate(images):
            groups.setdefault(self._crop(image, 1.0).canvas_size, []).append(i)
        found: dict[int, Instances] = {}
        for (height, width), members in groups.items():
            largest = height * width * max(self._decode.scales) ** 2
            step = self._fixed_batch or max(1, int(_MOST_PIXELS / largest))
            for start in range(0, len(members), step):
                chunk = members[start : start + step]
                found.update(zip(chunk, self._run([images[i] for i in chunk]), strict=True))
        return [found[i] for i in range(len(images))]

    def _run(self, images: Sequence[Image]) -> list[Instances]:
        """Of images that share their canvases."""
        timing = {"pre": 0.0, "infer": 0.0, "post": 0.0}
        sums = _Sums(len(images), self._orders, self.card.input.spacing)
        for scale in sorted(self._decode.scales, reverse=True):
            with timed(timing, "pre"):
                batch = self._batch(images, scale)
            for view in range(len(self._orders)):
                with timed(timing, "infer"):
                    outputs = self._backend.run({self._input: np.ascontiguousarray(batch[..., :: 1 - 2 * view])})
                with timed(timing, "post"):
                    size = self._crop(images[0], 1.0).canvas_size
                    sums.add(outputs, view, size, with_tags=scale == 1.0)
        with timed(timing, "post"):
            found = [self._place(image, *sums.of(i)) for i, image in enumerate(images)]
        share = {stage: 1e3 * spent / len(images) for stage, spent in timing.items()}
        return [replace(one, timing=share) for one in found]

    def _crop(self, image: Image, scale: float) -> Crop:
        return crop_whole((image.shape[0], image.shape[1]), self.card.input, scale, min(self._decode.scales))

    def _batch(self, images: Sequence[Image], scale: float) -> Floats:
        crops = [self._crop(image, scale) for image in images]
        batch = self._canvases.take((self._fixed_batch or len(images), 3, *crops[0].canvas_size))
        batch[len(images) :] = 0
        for i, (image, crop) in enumerate(zip(images, crops, strict=True)):
            crops_into(batch[i : i + 1], image, [crop], self.card.input)
        return batch

    def _place(self, image: Image, heatmaps: Floats, tags: Floats) -> Instances:
        people = decode(heatmaps, tags, self._decode, self.card.input.spacing)
        points = self._crop(image, 1.0).to_image(people.parts)
        boxes = _bounds(points, people)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        keypoints = np.concatenate((points, people.scores[..., None]), -1)
        kept, scores = suppress_poses(keypoints, people.totals, areas, self.skeleton.sigmas, self.card.suppress)
        labels = np.zeros(len(kept), np.int64)
        size = (image.shape[1], image.shape[0])
        return Instances(
            boxes[kept], scores, labels, self.card.labels, size, keypoints=keypoints[kept], skeleton=self.skeleton
        )


class _Sums:
    """What all runs of some images gave, added up image by image."""

    def __init__(self, count: int, orders: Sequence[NDArray[np.int64]], aligned: bool) -> None:
        self._count, self._orders, self._aligned = count, orders, aligned
        self._heatmaps = self._tags = np.empty(0, np.float32)
        self._runs = 0

    def add(self, outputs: Arrays, view: int, canvas_size: tuple[int, int], with_tags: bool) -> None:
        """One run's outputs; `view` 1 is that of the mirrored images."""
        heatmaps, tags = (np.ascontiguousarray(outputs[name], np.float32) for name in ("heatmaps", "tags"))
        if not self._runs:
            size = heatmaps.shape[2:] if self._aligned else canvas_size
            self._heatmaps = np.zeros((self._count, heatmaps.shape[1], *size), np.float32)
            self._tags = np.zeros((self._count, len(self._orders), heatmaps.shape[1], *size), np.float32)
        self._runs += 1
        for i in range(self._count):
            _native.project(heatmaps[i], self._heatmaps[i], self._orders[view], self._aligned, view == 1)
            if with_tags:
                _native.project(tags[i], self._tags[i, view], self._orders[view], self._aligned, view == 1)

    def of(self, image: int) -> tuple[Floats, Floats]:
        """The mean heatmaps (k, h, w) and the tags (views, k, h, w) of one image."""
        return self._heatmaps[image] / np.float32(self._runs), self._tags[image]


def _bounds(points: Floats, people: People) -> Floats:
    """Of each person (n, 4) xyxy: the keypoints that have a score; there is one at least."""
    has_score = (people.scores > 0)[..., None]
    low = np.where(has_score, points, np.inf).min(1)
    high = np.where(has_score, points, -np.inf).max(1)
    return np.concatenate((low, high), 1).astype(np.float32)
