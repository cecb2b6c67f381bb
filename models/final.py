"""Final detections of a network that looks at them once more, and so suppresses duplicates in its graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .proposals import clipped, rows_at, suppressed
from .regions import Pooling
from .two_stage import RoIHead, Stage, TwoStageDetector


@dataclass(frozen=True)
class FinalRule:
    """The `count` best detections of an image without those that overlap one of their class by more than `iou`.

    Candidates are the `top_k` best pairs of proposal and class whose score exceeds `conf`. Their boxes are clipped to
    the image, and empty ones dropped. `inclusive` is that of `ProposalRule`.
    """

    conf: float = 0.05
    iou: float = 0.5
    count: int = 100
    top_k: int = 3000
    inclusive: bool = False

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
        candidates = clipped(rows_at(every, pairs), image_size, self.inclusive)
        has_area = (candidates[..., 2:] + int(self.inclusive) > candidates[..., :2]).all(-1)
        ranks = torch.where(has_area, best, 0.0)
        kept, places = suppressed(
            candidates, ranks, labels.to(ranks.dtype), classes, self.iou, self.count, self.inclusive
        )
        return {
            "boxes": kept.boxes,
            "scores": kept.scores,
            "labels": torch.where(kept.scores > 0, labels.gather(1, places), 0),
            "num": (kept.scores > 0).sum(1),
        }


USUAL = FinalRule()


class FinalRoIHead(RoIHead):
    """Pyramid levels and proposals to class scores, and to boxes for the best pairs of proposal and class.

    `forward` gives two stages: the raw outputs of the `bbox_head` for all proposals, and those of the `final_head` for
    the detections that the `rule` leaves, with their `scores` and `labels`. `decode` gives these as `proposals`
    (n, count, 4) xyxy px with their `objectness` (n, count), the `boxes` (n, count, 1, 4) of the `final_head`, and
    `scores` (n, count, classes), of which one is not 0. The heads have `features` and `final_features` of regions.
    """

    def __init__(
        self,
        features: Pooling,
        bbox_head: nn.Module,
        final_features: Pooling,
        final_head: nn.Module,
        rule: FinalRule,
    ) -> None:
        super().__init__(features, bbox_head)
        self.final_features, self.final_head, self.rule = final_features, final_head, rule

    def forward(self, levels: Sequence[Tensor], regions: Tensor, image_size: Tensor) -> list[Stage]:
        [first] = super().forward(levels, regions, image_size)
        outputs = super().decode([first])
        is_proposal = (regions > 0).any(-1, keepdim=True)
        found = self.rule(outputs["boxes"], torch.where(is_proposal, outputs["scores"], 0.0), image_size)
        logits = self.final_head(self.final_features(levels, found["boxes"]))
        return [first, Stage(logits | {name: found[name] for name in ("scores", "labels")}, found["boxes"])]

    def decode(self, stages: Sequence[Stage]) -> dict[str, Tensor]:
        last = stages[-1]
        scores, labels = last.logits["scores"], last.logits["labels"]
        is_own = labels[..., None] == torch.arange(self.bbox_head.classes, device=labels.device)
        return {
            "boxes": self.final_head.boxes(last.logits, last.regions)[:, :, None],
            "scores": scores[..., None] * is_own,
            "proposals": last.regions,
            "objectness": scores,
        }


class FinalDetector(TwoStageDetector):
    """A two-stage network that looks at its final detections once more.

    The outputs are those of the `rule`, and those that `final_head` gives for their `features` (n, count, channels, s,
    s) and labels (n, count).
    """

    def __init__(self, *parts: Any, final_head: nn.Module, features: Pooling, rule: FinalRule = USUAL) -> None:
        super().__init__(*parts)
        self.final_head, self.features, self.rule = final_head, features, rule

    def detect(self, features: Sequence[Tensor], image_size: Tensor) -> dict[str, Tensor]:
        outputs = super().detect(features, image_size)
        found = self.rule(outputs["boxes"], outputs["scores"], image_size)
        return found | self.final_head(self.features(features, found["boxes"]), found["labels"])
