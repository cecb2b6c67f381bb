"""SSD's head (Liu et al., "SSD: Single Shot MultiBox Detector", arXiv 1512.02325, section 2.1)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..anchors import SizedAnchors
from ..blocks import ConvAct
from ..coders import deltas_to_boxes
from ..points import points_first

_STDS = (0.1, 0.1, 0.2, 0.2)


class SSDHead(nn.Module):
    """Levels of any width to class scores, which sum up to 1 with the background's, and boxes for every anchor.

    `forward` gives raw logits per level, anchor by anchor: `classes` (n, anchors * (classes + 1), h, w), the background
    last, and `deltas` (n, anchors * 4, h, w). `lite` ones come from separable convolutions.
    """

    def __init__(self, classes: int, in_channels: Sequence[int], *, anchors: SizedAnchors, lite: bool = False) -> None:
        super().__init__()
        self.classes, self.anchors = classes, anchors
        layer = _separable if lite else _plain
        self.cls_convs, self.reg_convs = (
            nn.ModuleList(layer(c, len(sides) * columns) for c, sides in zip(in_channels, anchors.sides, strict=True))
            for columns in (classes + 1, 4)
        )

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        return {
            "classes": [conv(x) for conv, x in zip(self.cls_convs, levels, strict=True)],
            "deltas": [conv(x) for conv, x in zip(self.reg_convs, levels, strict=True)],
        }

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes) and `boxes` (n, a, 4) xyxy px, in fp32, equally many in every cell."""
        flat = {
            name: torch.cat([points_first([x]).reshape(len(x), -1, columns) for x in logits[name]], 1).float()
            for name, columns in (("classes", self.classes + 1), ("deltas", 4))
        }
        sizes = [x.shape[2:] for x in logits["deltas"]]
        boxes = deltas_to_boxes(flat["deltas"], self.anchors(sizes, flat["deltas"]), _STDS)
        scores = flat["classes"].softmax(-1)[..., :-1]
        return {"boxes": self.anchors.evened(boxes, sizes), "scores": self.anchors.evened(scores, sizes)}


def _plain(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1))


def _separable(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        ConvAct(in_channels, in_channels, 3, groups=in_channels, activation=F.relu6),
        nn.Conv2d(in_channels, channels, 1),
    )
