"""The mask heads of a cascade (Cai and Vasconcelos, "Cascade R-CNN: High Quality Object Detection and Instance
Segmentation", arXiv 1906.09756, section 6; Chen et al., "Hybrid Task Cascade", arXiv 1901.07518, section 3.1)."""

from typing import Any

import torch
from torch import Tensor, nn

from ..blocks import ConvNorm
from .mask import MaskHead


class FollowingMaskHead(MaskHead):
    """A mask head that adds what the convolutions of the one before gave to its features."""

    def __init__(self, classes: int, channels: int = 256, **others: Any) -> None:
        super().__init__(classes, channels, **others)
        self.conv_res = ConvNorm(channels, channels, 1)


class MaskHeads(nn.ModuleList):
    """The mean `masks` (n, k, 2s, 2s) of several mask heads."""

    def forward(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        masks: list[Tensor] = []
        last = x = features.flatten(0, 1)
        for head in self:
            last = head.convs(x + head.conv_res(last) if isinstance(head, FollowingMaskHead) else x)
            masks.append(head.masks(last, labels))
        return {"masks": torch.stack(masks).mean(0)}
