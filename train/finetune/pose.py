"""Fine-tuning of top-down networks: batches of crops with keypoints, and AP of keypoints."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...deploy.card import Card
from ...deploy.coco.accuracy import Accuracy
from ...deploy.coco.annotations import AnnotatedImage, Annotations, Object
from ...deploy.coco.evaluation import Evaluation
from ...deploy.forms import Heatmaps
from ...deploy.inputs.crop import Crop, WarpedFrame
from ...deploy.inputs.geometry import Image, Normalization, Pixel
from ...deploy.inputs.image import read_image
from ...deploy.pipelines.crops import PoseEstimator
from ...deploy.results.instances import Instances
from ...export.bench_peer import TorchBackend
from ..labels.heatmaps import reaches, unbiased_maps, windowed_maps
from ..losses.heatmaps import heatmap_loss

Batch = tuple[Tensor, Tensor, Tensor]
"""Crops (n, 3, h, w), keypoints (n, k, 2) xy px of the crop and their weights (n, k), 0 or 1."""

METHODS = ("argmax", "quarter", "parabola", "paraboloid", "dark", "udp", "gaussfit")
"""The decoders of maps with a Gaussian around each keypoint, which are the labels here."""

_SCALES = (0.75, 1.25)  # of the crop
_TURN = math.radians(30)
_TURNED = 0.6  # of the crops


@dataclass(frozen=True)
class TurnedFrame(WarpedFrame):
    """A crop whose rectangle is turned around its centre by an angle in radians. The runtime's warp does not turn."""

    angle: float = 0.0

    @property
    def matrix(self) -> NDArray[np.float64]:
        straight, centre = super().matrix, np.array(self.centre)
        turned = self._rotation @ straight
        turned[:, 2] += centre - self._rotation @ centre
        return turned

    def to_canvas(self, points: NDArray[Any]) -> NDArray[np.float32]:
        centre = np.array(self.centre)
        return super().to_canvas((points - centre) @ self._rotation + centre)

    def fill(self, canvas: NDArray[Pixel], image: Image, pixels: Normalization, threads: int) -> None:
        size, flags = self.canvas_size[::-1], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(image, self.matrix, size, flags=flags)[..., :: -1 if pixels.swaps else 1]
        normal = (warped - np.array(pixels.mean, np.float32)) / np.array(pixels.std, np.float32)
        canvas[...] = normal.transpose(2, 0, 1)

    @property
    def _rotation(self) -> NDArray[np.float64]:
        sine, cosine = math.sin(self.angle), math.cos(self.angle)
        return np.array([[cosine, -sine], [sine, cosine]])


class PoseTask:
    """Crops with keypoints for training, and images with boxes and keypoints for the evaluation."""

    def __init__(self, card: Card, train: Annotations, val: Annotations, mirror: bool) -> None:
        assert card.skeleton is not None
        self._card, self._val = card, val
        self._mirrored = card.skeleton.mirrored() if mirror and card.skeleton.pairs else None
        self._examples = [(image, one) for image in train.images for one in image.objects if self._counts(train, one)]
        self._evaluation()  # raises for keypoints that the network does not have

    def _counts(self, annotations: Annotations, one: Object) -> bool:
        is_ours = annotations.categories[one.category].name in self._card.labels
        return is_ours and not one.is_crowd and any(one.keypoints[2::3])

    @property
    def size(self) -> int:
        """The number of crops of an epoch."""
        return len(self._examples)

    def batches(self, count: int, seed: int, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch with `count` crops each, the last one maybe with fewer."""
        rng = np.random.default_rng((seed, epoch))
        order = rng.permutation(self.size)
        for start in range(0, self.size, count):
            crops, points, weights = zip(
                *(self._sample(*self._examples[i], rng) for i in order[start : start + count]), strict=True
            )
            yield tuple(torch.from_numpy(np.stack(each)) for each in (crops, points, weights))

    def _sample(
        self, image: AnnotatedImage, one: Object, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        pixels, spec = read_image(image.file), self._card.input
        x, y, w, h = one.box
        frame = cast(Crop, spec.place).of_box(np.array([x, y, x + max(w, 0), y + max(h, 0)]), pixels.shape[:2])
        scale = float(rng.uniform(*_SCALES))
        angle = float(rng.uniform(-_TURN, _TURN)) if rng.random() < _TURNED else 0.0
        size = (frame.size[0] * scale, frame.size[1] * scale)
        frame = TurnedFrame(frame.image_size, frame.canvas_size, frame.centre, size, frame.spacing, angle)
        canvas = np.empty((3, *frame.canvas_size), np.float32)
        frame.fill(canvas, pixels, spec.pixels, 1)
        given = np.array(one.keypoints, np.float64).reshape(-1, 3)
        points, weights = frame.to_canvas(given[:, :2]), (given[:, 2] > 0).astype(np.float32)
        if self._mirrored is not None and rng.random() < 0.5:
            canvas, order = np.ascontiguousarray(canvas[..., ::-1]), list(self._mirrored)
            points, weights = points[order], weights[order]
            points[:, 0] = frame.canvas_size[1] - 1 - points[:, 0]
        return canvas, points, weights

    def losses(self, model: nn.Module, crops: Tensor, points: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """The loss `heatmaps`: squared differences between maps and Gaussians, 1 per keypoint for an empty map."""
        form, spacing = cast(Heatmaps, self._card.form), cast(Crop, self._card.input.place).spacing
        maps = model(crops)["heatmaps"]
        size = (maps.shape[2], maps.shape[3])
        ratio = [(ours - spacing) / (theirs - spacing) for ours, theirs in zip(size, crops.shape[2:], strict=True)]
        where = points * points.new_tensor(ratio[::-1])
        draw = windowed_maps if form.method == "udp" else unbiased_maps
        targets = form.scale * draw(where, size, form.sigma)
        counted = weights * reaches(where, size, form.sigma)
        # A Gaussian's squares add up to pi sigma^2.
        unit = size[0] * size[1] / (math.pi * (form.sigma * form.scale) ** 2)
        return {"heatmaps": unit * heatmap_loss(maps, targets, counted).sum() / counted.sum().clamp(min=1)}

    def evaluate(self, network: nn.Module, device: str) -> Accuracy:
        """AP of the keypoints in the annotated boxes, in the runtime's own pipeline."""
        pose, evaluation = PoseEstimator(TorchBackend(network, self._card, device), self._card), self._evaluation()
        names = self._card.labels
        for image in self._val.images:
            pixels = read_image(image.file)
            counted = [one for one in image.objects if self._counts(self._val, one)]
            boxes = np.array([one.box for one in counted], np.float32).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            labels = np.array([names.index(self._val.categories[one.category].name) for one in counted], np.int64)
            size = (pixels.shape[1], pixels.shape[0])
            given = Instances(boxes, np.ones(len(boxes), np.float32), labels, names, size)
            evaluation.add(image, pose.estimate([pixels], [given])[0])
        return evaluation.accuracy()

    def _evaluation(self) -> Evaluation:
        return Evaluation(self._val, self._card.labels, self._card.skeleton)
