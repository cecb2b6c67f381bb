"""Fine-tuning of detectors: batches of images with boxes, and AP of boxes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...deploy.card import Card
from ...deploy.coco.accuracy import Accuracy
from ...deploy.coco.annotations import AnnotatedImage, Annotations
from ...deploy.coco.evaluation import LEAST_SCORE, Evaluation
from ...deploy.inputs.image import read_image
from ...deploy.pipelines.detector import Detector
from ...export.bench_peer import TorchBackend
from ..dense import dense_losses

Batch = tuple[Tensor, list[Tensor], list[Tensor]]
"""Images (n, 3, h, w), and for each image boxes (g, 4) xyxy px of its canvas and labels (g,)."""

_SMALLER, _LARGER = 0.8, 1.25  # the range of sizes at which an image is shown


class DetectionTask:
    """Images with boxes for training, and others for the evaluation."""

    losses = staticmethod(dense_losses)

    def __init__(self, card: Card, train: Annotations, val: Annotations, mirror: bool) -> None:
        self._card, self._train, self._val, self._mirror = card, train, val, mirror
        self._evaluation(val)  # raises for categories that the network does not have

    @property
    def size(self) -> int:
        """The number of images of an epoch."""
        return len(self._train.images)

    def batches(self, count: int, seed: int, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch with `count` images each, the last one maybe with fewer."""
        rng = np.random.default_rng((seed, epoch))
        order = rng.permutation(self.size)
        for start in range(0, self.size, count):
            yield joined([self._sample(self._train.images[i], rng) for i in order[start : start + count]])

    def _sample(self, image: AnnotatedImage, rng: np.random.Generator) -> tuple[NDArray[np.float32], Tensor, Tensor]:
        pixels = read_image(image.file)
        height, width = pixels.shape[:2]
        boxes, labels = self._objects(image, height, width)
        if self._mirror and rng.random() < 0.5:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
            boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
        spec = self._card.input
        largest = 1.0 if spec.place.canvas is not None else _LARGER
        frame = spec.place.whole((height, width), float(rng.uniform(_SMALLER, largest)))
        canvas = np.empty((3, *frame.canvas_size), np.float32)
        frame.fill(canvas, pixels, spec.pixels, 1)
        placed = frame.to_canvas(boxes.reshape(-1, 2)).reshape(-1, 4)
        return canvas, torch.from_numpy(placed), torch.from_numpy(labels)

    def _objects(self, image: AnnotatedImage, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Boxes (g, 4) xyxy px within the image and labels (g,). Crowds and boxes below a pixel are no examples."""
        rows: list[tuple[float, ...]] = []
        labels: list[int] = []
        for one in image.objects:
            x, y, w, h = one.box
            box = (max(0.0, x), max(0.0, y), min(float(width), x + w), min(float(height), y + h))
            if not one.is_crowd and box[2] - box[0] >= 1 and box[3] - box[1] >= 1:
                rows.append(box)
                labels.append(self._card.labels.index(self._train.categories[one.category].name))
        return np.array(rows, np.float32).reshape(-1, 4), np.array(labels, np.int64)

    def evaluate(self, network: nn.Module, device: str) -> Accuracy:
        """AP of the network in the runtime's own pipeline."""
        card = replace(self._card, suppress=replace(self._card.suppress, conf=LEAST_SCORE))
        detector, evaluation = Detector(TorchBackend(network, card, device), card), self._evaluation(self._val)
        for image in self._val.images:
            evaluation.add(image, detector(read_image(image.file)))
        return evaluation.accuracy()

    def _evaluation(self, annotations: Annotations) -> Evaluation:
        return Evaluation(annotations, self._card.labels)


def joined(samples: Sequence[tuple[NDArray[np.float32], Tensor, Tensor]]) -> Batch:
    """Samples on the smallest canvas that holds all of them; what is added is black after the normalisation."""
    height, width = (max(canvas.shape[axis] for canvas, _, _ in samples) for axis in (1, 2))
    images = np.zeros((len(samples), 3, height, width), np.float32)
    for row, (canvas, _, _) in zip(images, samples, strict=True):
        row[:, : canvas.shape[1], : canvas.shape[2]] = canvas
    return torch.from_numpy(images), [boxes for _, boxes, _ in samples], [labels for _, _, labels in samples]
