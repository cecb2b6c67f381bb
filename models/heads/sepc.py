"""The heads of scale-equalizing pyramid convolution (Wang et al., arXiv 2005.03101): RetinaNet's last layers alone, and
FSAF's (Zhu et al., "Feature Selective Anchor-Free Module", arXiv 1903.00621)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..anchors import Anchors
from ..blocks import start_head
from ..coders import distances_to_boxes
from ..necks.sepc import Pairs, held
from ..points import grid_points, points_first
from .retina import RetinaHead


class SEPCRetinaHead(RetinaHead):
    """Pairs of maps, for classes and boxes, to class scores and boxes for every anchor; all else is RetinaNet's.

    The last two rows and columns of a level are invalid: all scores there are 0.
    """

    def __init__(self, classes: int, channels: int = 256, *, anchors: Anchors, **others: Any) -> None:
        super().__init__(classes, channels, anchors=anchors, stacked=0, **others)

    def forward(self, levels: Pairs) -> dict[str, list[Tensor]]:
        return {
            "classes": [self.retina_cls(x) for x, _ in levels],
            "deltas": [self.retina_reg(x) for _, x in levels],
        }

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        outputs = super().decode(logits)
        held = _held(logits["classes"]).repeat_interleave(self.anchors.per_cell, 0)
        return outputs | {"scores": outputs["scores"] * held}


class SEPCFSAFHead(nn.Module):
    """Pairs of maps, for classes and boxes, to class scores and boxes for every point.

    `forward` gives per level `classes` (n, classes, h, w), logits, and `sides` (n, 4, h, w): the distances to bottom,
    top, left and right in strides before max(x, 0). The last two rows and columns score 0, as above.
    """

    def __init__(self, classes: int, channels: int = 256, *, strides: Sequence[int] = (8, 16, 32, 64, 128)) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.retina_cls = nn.Conv2d(channels, classes, 3, padding=1)
        self.retina_reg = nn.Conv2d(channels, 4, 3, padding=1)
        start_head(self, self.retina_cls)

    def forward(self, levels: Pairs) -> dict[str, list[Tensor]]:
        return {
            "classes": [self.retina_cls(x) for x, _ in levels],
            "sides": [self.retina_reg(x) for _, x in levels],
        }

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes) and `boxes` (n, a, 4) xyxy px, which include the last pixel, in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        points, strides = grid_points([x.shape[2:] for x in logits["sides"]], self.strides, flat["sides"], 0.5)
        bottom, top, left, right = (flat["sides"].relu() * strides).unbind(-1)
        boxes = distances_to_boxes(torch.stack((left, top, right - 1, bottom - 1), -1), points)
        return {"boxes": boxes, "scores": flat["classes"].sigmoid() * _held(logits["classes"])}


def _held(levels: Sequence[Tensor]) -> Tensor:
    """The same for all points of levels (n, c, h, w), fp32: (a, 1)."""
    return torch.cat([held(x).flatten() for x in levels])[:, None].float()
