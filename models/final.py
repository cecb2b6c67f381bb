"""Final detections of a network that looks at them once more, and so suppresses duplicates in its graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..plugins.nms.op import nms
from .proposals import clipped
from .regions import RegionFeatures
from .two_stage import TwoStageDetector


@dataclass(frozen=True)
class FinalRule:
    """The `count` best detections of an image without those that overlap one of their class by more than `iou`.

    Candidates are the `top_k` best pairs of proposal and class whose score exceeds `conf`. Their boxes are clipped to
    the image, and empty ones dropped.
    """

    conf: float = 0.05
    iou: float = 0.5
    count: int = 100
    top_k: int = 3000

    def __call__(self, boxes: Tensor, scores: Tensor, image_size: Tensor) -> dict[str, Tensor]:
        """From boxes (n, k, classes or 1, 4) xyxy px and scores (n, k, classes) of images of (height, width) px (n, 2).

        Returns `boxes` (n, count, 4), `scores` and `labels` (n, count), best first, and their number `num` (n,); the
        other rows are 0.
        """
        classes = scores.shape[2]
        ranks = F.pad(torch.where(scores > self.conf, scores, 0.0).flatten(1), (0, self.top_k))
        best, pairs = ranks.topk(self.top_k)
        pairs = torch.where(best > 0, pairs, 0)
        labels = pairs % classes
        every = boxes.expand(-1, -1, classes, -1).flatten(1, 2)
        kept = clipped(every.gather(1, pairs[..., None].expand(-1, -1, 4)), image_size)
        has_area = (kept[..., 2:] > kept[..., :2]).all(-1)
        limit = kept.new_full((1,), self.iou)
        rows = nms(kept, torch.where(has_area, best, 0.0), labels.to(kept.dtype), limit, classes, self.count)
        found, places = rows[:, : self.count].unbind(-1)
        places = places.long()
        return {
            "boxes": torch.where(found[..., None] > 0, kept.gather(1, places[..., None].expand(-1, -1, 4)), 0.0),
            "scores": found,
            "labels": torch.where(found > 0, labels.gather(1, places), 0),
            "num": (found > 0).sum(1),
        }


USUAL = FinalRule()


class FinalDetector(TwoStageDetector):
    """A two-stage network that looks at its final detections once more.

    The outputs are those of the `rule`, and those that `final_head` gives for their `features` (n, count, channels, s,
    s) and labels (n, count).
    """

    def __init__(self, *parts: Any, final_head: nn.Module, features: RegionFeatures, rule: FinalRule = USUAL) -> None:
        super().__init__(*parts)
        self.final_head, self.features, self.rule = final_head, features, rule

    def detect(self, features: Sequence[Tensor], image_size: Tensor) -> dict[str, Tensor]:
        outputs = super().detect(features, image_size)
        found = self.rule(outputs["boxes"], outputs["scores"], image_size)
        return found | self.final_head(self.features(features, found["boxes"]), found["labels"])
