"""CSPNeXt (Lyu et al., "RTMDet: An Empirical Study of Designing Real-Time Object Detectors", arXiv 2212.07784, section
3.2)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm, Norm
from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section

_CHANNELS, _BLOCKS = (64, 128, 256, 512, 1024), (3, 6, 6, 3)


class ConvSiLU(ConvNorm):
    """Convolution, batch norm, SiLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride=stride, norm="bn", relu=False, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(super().forward(x))


class Separable(nn.Module):
    """A depthwise 5x5 and a 1x1 convolution: (n, channels, h, w) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvSiLU(channels, channels, 5, groups=channels)
        self.pointwise_conv = ConvSiLU(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


class CSPNeXtBlock(nn.Module):
    """A 3x3 and a large separable convolution, around a shortcut where there is one."""

    def __init__(self, channels: int, *, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = ConvSiLU(channels, channels, 3)
        self.conv2 = Separable(channels)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.conv1(x))
        return x + out if self.shortcut else out


class ChannelAttention(nn.Module):
    """Channels times a factor of 0 to 1 that their means decide on: (n, channels, h, w) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class CSPLayer(nn.Module):
    """Blocks on one half of the channels, the other half beside them: (n, channels, h, w) to the same."""

    def __init__(self, channels: int, blocks: int, *, shortcut: bool) -> None:
        super().__init__()
        half = channels // 2
        self.main_conv = ConvSiLU(channels, half, 1)
        self.short_conv = ConvSiLU(channels, half, 1)
        self.blocks = nn.Sequential(*(CSPNeXtBlock(half, shortcut=shortcut) for _ in range(blocks)))
        self.attention = ChannelAttention(2 * half)
        self.final_conv = ConvSiLU(2 * half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat((self.blocks(self.main_conv(x)), self.short_conv(x)), 1)
        return self.final_conv(self.attention(both))


class SpatialPyramid(nn.Module):
    """The largest values around a cell in windows of 1, 5, 9 and 13: (n, channels, h, w) to the same."""

    def __init__(self, channels: int, windows: Sequence[int] = (5, 9, 13)) -> None:
        super().__init__()
        self.windows = windows
        self.conv1 = ConvSiLU(channels, channels // 2, 1)
        self.conv2 = ConvSiLU(channels // 2 * (1 + len(windows)), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return self.conv2(torch.cat([x, *(F.max_pool2d(x, size, 1, size // 2) for size in self.windows)], 1))


class CSPNeXt(nn.Module):
    """Image to the level at stride 32, in a list of one.

    Shapes: (n, 3, h, w) to (n, channels[-1], ceil(h / 32), ceil(w / 32)). `deep` and `wide` are factors of the large
    network's number of blocks and channels.
    """

    def __init__(self, *, deep: float = 1.0, wide: float = 1.0) -> None:
        super().__init__()
        first, *channels = (int(c * wide) for c in _CHANNELS)
        half = int(_CHANNELS[0] * wide // 2)
        self.stem = nn.Sequential(ConvSiLU(3, half, 3, stride=2), ConvSiLU(half, half, 3), ConvSiLU(half, first, 3))
        in_channels = first
        for i, (width, blocks) in enumerate(zip(channels, _BLOCKS, strict=True), 1):
            last = i == len(_BLOCKS)
            csp = CSPLayer(width, max(round(blocks * deep), 1), shortcut=not last)
            pyramid = [SpatialPyramid(width)] if last else []
            setattr(self, f"stage{i}", nn.Sequential(ConvSiLU(in_channels, width, 3, stride=2), *pyramid, csp))
            in_channels = width
        self.channels = tuple(channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image
        for stage in self.children():
            x = stage(x)
        return [x]


def from_config(section: Section) -> Trunk:
    """OpenMMLab's CSPNeXt with its last level alone."""
    section.fixed(arch="P5", arch_ovewrite=None, use_depthwise=False, expand_ratio=0.5)
    section.same("out_indices", (4,), (2, 3, 4))
    section.fixed(spp_kernel_sizes=(5, 9, 13), channel_attention=True, conv_cfg=None)
    if activation := section.section("act_cfg"):
        activation.typed("SiLU")
        activation.training("inplace")
    network = partial(CSPNeXt, deep=section.number("deepen_factor", 1.0), wide=section.number("widen_factor", 1.0))
    return Trunk(normed(network, batch_norm(section, Norm("bn", 1e-3))), (-1,), (32,))
