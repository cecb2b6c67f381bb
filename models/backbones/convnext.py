"""ConvNeXt (Liu et al., "A ConvNet for the 2020s", arXiv 2201.03545), named as mmpretrain names it."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

_EPS = 1e-6


class ChannelNorm(nn.LayerNorm):
    """Layer norm along the channels of a map (n, c, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """A depthwise 7x7 convolution, then four times as many channels and back, around a shortcut (figure 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise_conv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, _EPS)
        self.pointwise_conv1, self.pointwise_conv2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.act = nn.GELU()
        self.gamma = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        rows = self.norm(self.depthwise_conv(x).permute(0, 2, 3, 1))
        rows = self.pointwise_conv2(self.act(self.pointwise_conv1(rows))) * self.gamma
        return x + rows.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """Image to four levels at strides 4, 8, 16, 32, each normalised.

    Shapes: (n, 3, h, w), h and w multiples of 32, to four (n, channels[i], h / stride, w / stride). `layers` counts the
    blocks of each stage, whose width doubles from `width` on.
    """

    def __init__(self, layers: Sequence[int] = (3, 3, 9, 3), *, width: int = 96) -> None:
        super().__init__()
        self.channels = tuple(width << i for i in range(len(layers)))
        stem = nn.Sequential(nn.Conv2d(3, width, 4, 4), ChannelNorm(width, _EPS))
        steps = (
            nn.Sequential(ChannelNorm(c, _EPS), nn.Conv2d(c, out, 2, 2))
            for c, out in zip(self.channels, self.channels[1:], strict=False)
        )
        self.downsample_layers = nn.ModuleList([stem, *steps])
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNeXtBlock(c) for _ in range(count)))
            for c, count in zip(self.channels, layers, strict=True)
        )
        for i, c in enumerate(self.channels):
            setattr(self, f"norm{i}", ChannelNorm(c, _EPS))

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image
        levels: list[Tensor] = []
        for i, (downsample, stage) in enumerate(zip(self.downsample_layers, self.stages, strict=True)):
            x = stage(downsample(x))
            levels.append(getattr(self, f"norm{i}")(x))
        return levels


CONVNEXT_T, CONVNEXT_S = ConvNeXt, partial(ConvNeXt, (3, 3, 27, 3))
TINY_CONVNEXT = partial(ConvNeXt, (1, 1, 1, 1), width=8)
