"""Adaptively spatial feature fusion (Liu et al., "Learning Spatial Fusion for Single-Shot Object Detection", arXiv
1911.09516)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..backbones.darknet import ConvLeaky
from .yolo import SpatialPyramid, YOLOv3Neck, alternating


class ASFFNeck(YOLOv3Neck):
    """YOLOv3's neck with a spatial pyramid, then each level fused from all three, with weights for each position.

    Shapes: (n, in_channels[i], h, w) to (n, widest / 2^i, h', w'), the coarsest first. `narrow` is how many channels
    of each level its weights come from.
    """

    def __init__(self, in_channels: Sequence[int], widest: int = 1024, *, narrow: int = 16) -> None:
        half, quarter = widest // 2, widest // 4
        super().__init__(in_channels, (half, quarter, widest // 8))
        before, after = alternating(in_channels[-1], half, 3), alternating(4 * half, half, 3)
        self.detect1 = nn.Sequential(*before, SpatialPyramid(), *after)
        self.conv3 = ConvLeaky(widest // 8, quarter, 3)
        widths = (half, quarter, quarter)
        self.fusions = nn.ModuleList(
            Fusion(widths, level, out, narrow) for level, out in enumerate((widest, half, quarter))
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        maps = self.maps(levels)
        return [fusion(maps) for fusion in self.fusions]

    def maps(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """The three maps, the coarsest first, before they are fused."""
        first, second, third = super().forward(levels)
        return [first, second, self.conv3(third)]


class Fusion(nn.Module):
    """Three maps, the coarsest first, to one in the size of number `level` (equations 1 and 2)."""

    def __init__(self, widths: Sequence[int], level: int, out_channels: int, narrow: int) -> None:
        super().__init__()
        self.level = level
        width = widths[level]
        self.resize = nn.ModuleList(
            nn.Identity() if i == level or (widths[i] == width and i < level) else _changed(widths[i], width, i > level)
            for i in range(len(widths))
        )
        self.weight = nn.ModuleList(ConvLeaky(width, narrow, 1) for _ in widths)
        self.weight_levels = nn.Conv2d(3 * narrow, 3, 1)
        self.expand = ConvLeaky(width, out_channels, 3)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        resized = self.resized(maps)
        parts = zip(resized, self.weights(resized).split(1, 1), strict=True)
        fused = torch.stack([x * weight for x, weight in parts]).sum(0)
        return self.expand(fused)

    def weights(self, resized: Sequence[Tensor]) -> Tensor:
        """The weight of each map at each position, (n, 3, h, w)."""
        narrow = [layer(x) for layer, x in zip(self.weight, resized, strict=True)]
        return self.weight_levels(torch.cat(narrow, 1)).softmax(1)

    def resized(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """All maps in the size and with the channels of this level."""
        size = maps[self.level].shape[2:]
        resized: list[Tensor] = []
        for i, (x, change) in enumerate(zip(maps, self.resize, strict=True)):
            if i == self.level + 2:
                x = F.max_pool2d(x, 3, 2, 1)
            x = change(x)
            resized.append(F.interpolate(x, size=size) if i < self.level else x)
        return resized


def _changed(in_channels: int, channels: int, finer: bool) -> ConvLeaky:
    return ConvLeaky(in_channels, channels, 3, stride=2) if finer else ConvLeaky(in_channels, channels, 1)
