"""Double-Head R-CNN's box head, as OpenMMLab has it (Wu et al., arXiv 1904.06493): layers find the class, convolutions
the box."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..backbones.resnet import Bottleneck
from ..blocks import ConvNorm
from ..regions import RegionFeatures, enlarged
from ..two_stage import RoIHead, Stage
from .bbox import BoxHead


class _Widened(nn.Module):
    """A residual block that changes the number of channels."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(in_channels, in_channels, 3, norm="bn")
        self.conv2 = ConvNorm(in_channels, channels, 1, norm="bn", relu=False)
        self.conv_identity = ConvNorm(in_channels, channels, 1, norm="bn", relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv2(self.conv1(x)) + self.conv_identity(x))


class DoubleHead(BoxHead):
    """Features of regions and of the enlarged ones, (n, k, channels, size, size) each, to class scores and boxes.

    The outputs and the arguments of `boxes` are those of `BoxHead`.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        size: int = 7,
        width: int = 1024,
        convs: int = 4,
        **boxes: Any,
    ) -> None:
        super().__init__(classes, width, width=None, **boxes)
        self.res_block = _Widened(channels, width)
        blocks = [Bottleneck(width, width // 4, 1, "pytorch", (1, width // 4), None) for _ in range(convs)]
        self.conv_branch = nn.ModuleList(blocks)
        self.fc_branch = nn.ModuleList([nn.Linear(channels * size * size, width), nn.Linear(width, width)])

    def forward(self, features: Tensor, around: Tensor) -> dict[str, Tensor]:
        x = features.flatten(2)
        for layer in self.fc_branch:
            x = torch.relu(layer(x))
        boxes = self.res_block(around.flatten(0, 1))
        for block in self.conv_branch:
            boxes = block(boxes)
        boxes = boxes.mean((-2, -1)).unflatten(0, features.shape[:2])
        return {"classes": self.fc_cls(x), "deltas": self.fc_reg(boxes)}


class DoubleRoIHead(RoIHead):
    """One stage whose box head also takes the features of regions with `factor` times the sides.

    They are pooled from the levels of the proposals.
    """

    def __init__(self, features: RegionFeatures, bbox_head: nn.Module, factor: float = 1.3) -> None:
        super().__init__(features, bbox_head)
        self.factor = factor

    def forward(self, levels: Sequence[Tensor], regions: Tensor, image_size: Tensor) -> list[Stage]:
        around = self.features(levels, regions, enlarged(regions, self.factor))
        return [Stage(self.bbox_head(self.features(levels, regions), around), regions)]
