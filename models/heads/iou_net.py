"""IoU-Net's second stage (Jiang et al., "Acquisition of Localization Confidence for Accurate Object Detection", arXiv
1807.11590)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..proposals import clipped, suppressed
from ..regions import PreciseFeatures
from ..two_stage import RoIHead, Stage
from .bbox import BoxHead, SharedLayers

RATE = 0.5
STALLED, WORSE = 0.001, -0.01
"""The least change of the IoU with which a box moves on, and the least gain."""


class IoUHead(SharedLayers):
    """Features of boxes (n, k, channels, size, size) to the IoU (n, k, classes) of each with its object, in fp32."""

    def __init__(self, classes: int, channels: int = 256, **layers: Any) -> None:
        super().__init__(channels, **layers)
        self.fc_iou = nn.Linear(self.width, classes)
        nn.init.normal_(self.fc_iou.weight, std=0.01)

    def forward(self, features: Tensor) -> Tensor:
        return _from_label(self.fc_iou(self.hidden(features)))

    def slope(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The IoU (n, k) of the class `labels` (n, k), and its gradient by the features, shaped as these.

        It is written out, since an exported graph has no automatic differentiation.
        """
        active, x = list[Tensor](), features.flatten(2)
        for layer in self.shared_fcs:
            x = torch.relu(layer(x))
            active.append(x > 0)
        iou = _from_label(self.fc_iou(x)).gather(2, labels[..., None])[..., 0]
        gradient = self.fc_iou.weight[labels] / 2
        for layer, mask in zip(reversed(self.shared_fcs), reversed(active), strict=True):
            gradient = F.linear(torch.where(mask, gradient, 0.0), layer.weight.t())
        return iou, gradient.unflatten(2, features.shape[2:])


class IoUNetRoIHead(RoIHead):
    """A `RoIHead` that predicts how well its boxes fit, and moves the best of them to where they fit better.

    IoU-guided NMS at `iou` finds these: at most `count`, whose score exceeds `conf`. The `quality` is the predicted IoU
    (n, k, classes) of the boxes as they are then. All classes share a box. In the paper NMS comes first; here it runs a
    second time behind the network, so that its limits can change.
    """

    def __init__(
        self,
        features: PreciseFeatures,
        bbox_head: BoxHead,
        iou_head: IoUHead,
        conf: float = 0.05,
        iou: float = 0.5,
        count: int = 100,
        steps: int = 5,
    ) -> None:
        super().__init__(features, bbox_head)
        self.iou_head = iou_head
        self.conf, self.iou, self.count, self.steps = conf, iou, count, steps

    def forward(self, levels: Sequence[Tensor], regions: Tensor, image_size: Tensor) -> list[Stage]:
        logits = self.bbox_head(self.features(levels, regions))
        boxes = clipped(self.bbox_head.boxes(logits, regions)[:, :, 0], image_size)
        boxes, fit = self._refined(levels, boxes, self.bbox_head.scores(logits))
        return [Stage(logits | {"boxes": boxes, "iou": fit}, regions)]

    def decode(self, stages: Sequence[Stage]) -> dict[str, Tensor]:
        [(logits, _)] = stages
        scores = self.bbox_head.scores(logits)
        return {"boxes": logits["boxes"][:, :, None], "scores": scores, "quality": logits["iou"]}

    def _refined(self, levels: Sequence[Tensor], boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The boxes (n, k, 4), of which those that IoU-guided NMS leaves have moved, and their IoU (n, k, classes)."""
        best, labels = scores.max(-1)
        every = self.iou_head(self.features(levels, boxes))
        fit = every.gather(2, labels[..., None])[..., 0]
        may_move = (best > self.conf) & (boxes[..., 2:] > boxes[..., :2]).all(-1)
        kinds, classes = labels.to(boxes.dtype), scores.shape[2]
        kept, places = suppressed(boxes, torch.where(may_move, fit, 0.0), kinds, classes, self.iou, self.count)
        moved = self.climb(levels, kept.boxes, labels.gather(1, places))
        # Rows without a box go to one behind the others.
        rows = torch.where(kept.scores > 0, places, boxes.shape[1])
        again = self.iou_head(self.features(levels, moved))
        return _replaced(boxes, rows, moved), _replaced(every, rows, again)

    def climb(self, levels: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """The boxes (n, k, 4) moved at most `steps` times along the gradient of their class's IoU (algorithm 2).

        A step is the gradient times the side of the box. A box stops once its IoU hardly changes or falls.
        """
        stopped = torch.zeros_like(labels, dtype=torch.bool)
        before = torch.zeros_like(boxes[..., 0])
        for step in range(self.steps):
            features = self.features(levels, boxes)
            iou, gradient = self.iou_head.slope(features, labels)
            if step:
                gain = iou - before
                stopped = stopped | (gain.abs() < STALLED) | (gain < WORSE)
            before = iou
            moved = boxes + RATE * self.features.slope(levels, boxes, features, gradient)
            boxes = torch.where(stopped[..., None], boxes, moved)
        return boxes


def _replaced(values: Tensor, rows: Tensor, others: Tensor) -> Tensor:
    """Values (n, k, c) with others (n, m, c) in their rows (n, m), of which k is none."""
    places = rows[..., None].expand(-1, -1, values.shape[2])
    return F.pad(values, (0, 0, 0, 1)).scatter(1, places, others)[:, :-1]


def _from_label(x: Tensor) -> Tensor:
    """The IoU, 0..1, of an output of -1..1, the range of the labels in training."""
    return ((x.float() + 1) / 2).clamp(0, 1)
