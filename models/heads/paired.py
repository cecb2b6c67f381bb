"""Pairs of boxes for people in crowds: the whole and the visible part (Huang et al., "NMS by Representative Region:
Towards Crowded Pedestrian Detection by Proposal Pairing", arXiv 2003.12729)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..coders import boxes_to_priors, deltas_to_boxes
from ..points import points_first
from ..proposals import Proposals, clipped, rows_at
from ..two_stage import RoIHead, Stage
from .bbox import BoxHead
from .rpn import RPNHead


class PairedRPNHead(RPNHead):
    """An `RPNHead` that proposes pairs of boxes: `deltas` (n, anchors * 8, h, w) are those of both from one anchor.

    Proposals are (n, k, 8): the whole boxes, which NMS compares, and the visible ones.
    """

    def __init__(self, channels: int = 256, **others: Any) -> None:
        super().__init__(channels, **others)
        self.rpn_reg = nn.Conv2d(channels, self.anchors.per_cell * 8, 1)
        nn.init.normal_(self.rpn_reg.weight, std=0.01)

    def propose(self, logits: dict[str, list[Tensor]], image_size: Tensor) -> Proposals:
        whole: list[Tensor] = []
        visible: list[Tensor] = []
        scores: list[Tensor] = []
        anchors = self.anchors.levels([x.shape[2:] for x in logits["objects"]], image_size)
        for priors, objects, deltas in zip(anchors, logits["objects"], logits["deltas"], strict=True):
            best, places = self.rule.best(points_first([objects]).float().sigmoid().flatten(1))
            rows = points_first([deltas]).float().unflatten(-1, (-1, 8)).flatten(1, 2)
            for boxes, own in zip((whole, visible), rows_at(rows, places).split(4, -1), strict=True):
                boxes.append(deltas_to_boxes(own, priors[places], self.stds))
            scores.append(best)
        kept, places = self.rule.chosen(whole, scores, image_size)
        seen = rows_at(clipped(torch.cat(visible, 1), image_size), places)
        return Proposals(torch.cat((kept.boxes, torch.where(kept.scores[..., None] > 0, seen, 0.0)), -1), kept.scores)


class PairedBoxHead(BoxHead):
    """Features of both regions of a pair, (n, k, 2 * channels, size, size), to scores and both boxes.

    `forward` also gives `visible_deltas` as `deltas`.
    """

    def __init__(self, classes: int, channels: int = 256, **others: Any) -> None:
        super().__init__(classes, 2 * channels, **others)
        self.fc_reg_visible = nn.Linear(self.width, self.fc_reg.out_features)
        nn.init.normal_(self.fc_reg_visible.weight, std=0.001)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        x = self.hidden(features)
        return {"classes": self.fc_cls(x), "deltas": self.fc_reg(x), "visible_deltas": self.fc_reg_visible(x)}

    def visible(self, logits: dict[str, Tensor], regions: Tensor) -> Tensor:
        """The visible boxes (n, k, classes or 1, 4) xyxy px for visible regions (n, k, 4) xyxy px, in fp32."""
        deltas = logits["visible_deltas"].float().unflatten(-1, (-1, 4))
        return deltas_to_boxes(deltas, boxes_to_priors(regions)[:, :, None], self.stds)


class PairedRoIHead(RoIHead):
    """One stage on pairs of regions (n, k, 8), whose features are joined.

    `decode` also gives the boxes' `visible` parts, and the whole regions as `proposals` (n, k, 4).
    """

    def forward(self, levels: Sequence[Tensor], regions: Tensor, image_size: Tensor) -> list[Stage]:
        features = [self.features(levels, part) for part in regions.split(4, -1)]
        return [Stage(self.bbox_head(torch.cat(features, 2)), regions)]

    def decode(self, stages: Sequence[Stage]) -> dict[str, Tensor]:
        [(logits, regions)] = stages
        whole, visible = regions.split(4, -1)
        return {
            "boxes": self.bbox_head.boxes(logits, whole),
            "visible": self.bbox_head.visible(logits, visible),
            "scores": self.bbox_head.scores(logits),
            "proposals": whole,
        }
