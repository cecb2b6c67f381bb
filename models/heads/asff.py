"""The head of ASFF's YOLOv3 (Liu et al., "Learning Spatial Fusion for Single-Shot Object Detection", arXiv 1911.09516,
section 3.1): guided anchors, and receptive fields as RFB's (Liu et al., arXiv 1711.07767)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...plugins.deform_conv.op import deform_conv
from ..anchors import SizedAnchors
from .yolo import OTHERS, decode_cells

# Of each branch of a receptive field block: kernel, gap and padding of the convolutions after the first, a 1x1.
_BRANCHES = ((), ((3, 1, 1),), ((3, 1, 1), (3, 2, 2)), ((5, 1, 2), (3, 3, 3)))


class ReceptiveField(nn.Module):
    """Branches with growing receptive fields, concatenated: (n, channels, h, w) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // 4
        for i, steps in enumerate(_BRANCHES):
            layers = [nn.Conv2d(channels, quarter, 1)]
            layers += [nn.Conv2d(quarter, quarter, k, padding=p, dilation=gap) for k, gap, p in steps]
            self.add_module(f"branch_{i}", nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.children()], 1)


class LevelHead(nn.Module):
    """One level to the logits (n, anchors * (5 + classes), h, w) of its cells.

    The anchors' sizes are predicted first, and a deformable convolution follows them, a quarter of the channels each.
    """

    def __init__(self, channels: int, classes: int, anchors: int, *, fields: bool) -> None:
        super().__init__()
        self.anchors = anchors
        self.guide_wh = nn.Conv2d(channels, 2 * anchors, 1)
        self.rfb = ReceptiveField(channels) if fields else nn.Identity()
        self.conv_offset = nn.Conv2d(2 * anchors, 18 * anchors, 1, groups=anchors)
        self.dconv = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv = nn.Conv2d(channels, anchors * (OTHERS + classes), 1)

    def forward(self, x: Tensor) -> Tensor:
        guide = self.guide_wh(x)
        weight, bias, geometry = self.dconv.weight, self.dconv.bias, ((1, 1), (1, 1), (1, 1), 1, self.anchors)
        x = deform_conv(self.rfb(x), self.conv_offset(guide), weight, None, bias, *geometry)
        cells = self.conv(x).unflatten(1, (self.anchors, -1))
        centre, growth, rest = cells.split((2, 2, cells.shape[2] - 4), 2)
        return torch.cat((centre, growth + guide.unflatten(1, (self.anchors, 2)), rest), 2).flatten(1, 2)


class ASFFHead(nn.Module):
    """Levels, the coarsest first, to class scores, boxes and objectness for every anchor.

    `forward` gives `cells` per level, logits (n, anchors * (5 + classes), h, w), anchor by anchor. `fields` puts a
    receptive field block before the deformable convolutions.
    """

    def __init__(self, classes: int, channels: Sequence[int], *, anchors: SizedAnchors, fields: bool = False) -> None:
        super().__init__()
        self.classes, self.anchors = classes, anchors
        self.levels = nn.ModuleList(LevelHead(c, classes, anchors.per_cell, fields=fields) for c in channels)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        return {"cells": [head(x) for head, x in zip(self.levels, levels, strict=True)]}

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and the objectness as `quality` (n, a), in fp32.

        Each box has one class: all scores except its best are 0.
        """
        outputs = decode_cells(logits["cells"], self.anchors, self.classes)
        scores = outputs["scores"]
        return outputs | {"scores": torch.where(scores == scores.amax(-1, keepdim=True), scores, 0.0)}
