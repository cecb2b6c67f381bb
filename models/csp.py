"""Parts of cross stage partial networks (Wang et al., "CSPNet", arXiv 1911.11929), which backbones and necks share."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import Activation, ConvAct

Convolution = Callable[..., nn.Module]
"""Builds a layer from its input channels, output channels, kernel and optional stride."""


class Separable(nn.Module):
    """A depthwise and a 1x1 convolution, both with norm and activation."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, activation: Activation = F.silu
    ) -> None:
        super().__init__()
        self.depthwise_conv = ConvAct(
            in_channels, in_channels, kernel, stride=stride, groups=in_channels, activation=activation
        )
        self.pointwise_conv = ConvAct(in_channels, out_channels, 1, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


class DarknetBlock(nn.Module):
    """A 1x1 and a larger convolution with an optional shortcut. `conv` builds the larger one."""

    def __init__(
        self,
        channels: int,
        *,
        shortcut: bool,
        conv: Convolution = ConvAct,
        kernel: int = 3,
        activation: Activation = F.silu,
    ) -> None:
        super().__init__()
        self.conv1 = ConvAct(channels, channels, 1, activation=activation)
        self.conv2 = conv(channels, channels, kernel, activation=activation)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.conv1(x))
        return x + out if self.shortcut else out


class CSPNeXtBlock(nn.Module):
    """A 3x3 and a separable 5x5 convolution with an optional shortcut. `conv` builds the 3x3.

    Section 3.2 of Lyu et al., "RTMDet", arXiv 2212.07784.
    """

    def __init__(self, channels: int, *, shortcut: bool, conv: Convolution = ConvAct) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels, 3)
        self.conv2 = Separable(channels, channels, 5)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.conv1(x))
        return x + out if self.shortcut else out


class ChannelAttention(nn.Module):
    """Channels scaled by factors in 0..1 that are computed from their means: (n, channels, h, w) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class CSPLayer(nn.Module):
    """Blocks on one half of the channels; the other half bypasses them: (n, in_channels, h, w) to (n, channels, h, w).

    `block` builds a block from its number of channels.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        blocks: int,
        *,
        block: Callable[[int], nn.Module],
        attention: bool = False,
        activation: Activation = F.silu,
    ) -> None:
        super().__init__()
        half = channels // 2
        self.main_conv = ConvAct(in_channels, half, 1, activation=activation)
        self.short_conv = ConvAct(in_channels, half, 1, activation=activation)
        self.blocks = nn.Sequential(*(block(half) for _ in range(blocks)))
        self.attention = ChannelAttention(2 * half) if attention else nn.Identity()
        self.final_conv = ConvAct(2 * half, channels, 1, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat((self.blocks(self.main_conv(x)), self.short_conv(x)), 1)
        return self.final_conv(self.attention(both))


class SpatialPyramid(nn.Module):
    """Max pooling with windows of 1, 5, 9 and 13 in parallel: (n, channels, h, w) to the same."""

    def __init__(self, channels: int, windows: Sequence[int] = (5, 9, 13)) -> None:
        super().__init__()
        self.windows = windows
        self.conv1 = ConvAct(channels, channels // 2, 1)
        self.conv2 = ConvAct(channels // 2 * (1 + len(windows)), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return self.conv2(torch.cat([x, *(F.max_pool2d(x, size, 1, size // 2) for size in self.windows)], 1))
