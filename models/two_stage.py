"""The structure of two-stage detectors: backbone, neck, proposals, and a second stage on the features of each."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .regions import Pooling


class Stage(NamedTuple):
    """A box head's raw outputs for regions (n, k, 4) xyxy px."""

    logits: dict[str, Tensor]
    regions: Tensor


class RoIHead(nn.Module):
    """Pyramid levels and proposals to class scores and boxes, in one stage: features of each region, and a box head.

    `forward` gives the raw outputs of its stages, `decode` their `boxes` (n, k, classes or 1, 4) xyxy px, `scores`
    (n, k, classes) and maybe `quality` (n, k) or (n, k, classes).
    """

    def __init__(self, features: Pooling, bbox_head: nn.Module) -> None:
        super().__init__()
        self.features, self.bbox_head = features, bbox_head

    def forward(self, levels: Sequence[Tensor], regions: Tensor, image_size: Tensor) -> list[Stage]:
        return [Stage(self.bbox_head(self.features(levels, regions)), regions)]

    def decode(self, stages: Sequence[Stage]) -> dict[str, Tensor]:
        [stage] = stages
        return decoded(self.bbox_head, stage)


def decoded(head: nn.Module, stage: Stage) -> dict[str, Tensor]:
    """A box head's `boxes`, `scores` and, if it predicts how good the boxes are, `quality` (n, k)."""
    boxes, scores = head.boxes(stage.logits, stage.regions), head.scores(stage.logits)
    quality = {"quality": head.quality(*stage)} if hasattr(head, "quality") else {}
    return {"boxes": boxes, "scores": scores, **quality}


class TwoStageDetector(nn.Module):
    """Image (n, 3, h, w) and the (height, width) px of each (n, 2) on its canvas to named outputs.

    They are those of the second stage, with scores of 0 where there is no proposal, and the `proposals` (n, k, 4) xyxy
    px with their `objectness` (n, k), unless the second stage selects its own. `levels` holds the indices of the
    backbone levels that the neck takes. The trunk and the heads run in the type of their weights, regions and boxes are
    in fp32.
    """

    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module,
        rpn_head: nn.Module,
        roi_head: nn.Module,
        levels: tuple[int, ...] = (0, 1, 2, 3),
    ) -> None:
        super().__init__()
        self.backbone, self.neck, self.rpn_head, self.roi_head = backbone, neck, rpn_head, roi_head
        self.levels = levels

    def forward(self, image: Tensor, image_size: Tensor) -> dict[str, Tensor]:
        dtype = next(self.backbone.parameters()).dtype
        levels = self.backbone(image.to(dtype))
        return self.detect(self.neck([levels[i] for i in self.levels]), image_size)

    def detect(self, features: Sequence[Tensor], image_size: Tensor) -> dict[str, Tensor]:
        """The outputs from the features of the neck."""
        proposals = self.rpn_head.propose(self.rpn_head(features), image_size)
        decoded = self.roi_head.decode(self.roi_head(features, proposals.boxes, image_size))
        outputs = decoded | {"proposals": proposals.boxes, "objectness": proposals.scores} | decoded
        found = outputs["objectness"][..., None] > 0
        return outputs | {"scores": torch.where(found, outputs["scores"], 0.0)}
