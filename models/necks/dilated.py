"""The dilated encoder of YOLOF (Chen et al., "You Only Look One-level Feature", arXiv 2103.09460, section 4.1)."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from ..blocks import ConvNorm
from ..config.parts import Neck, Trunk
from ..config.section import Section


class DilatedEncoder(nn.Module):
    """The last backbone level to one map with receptive fields for all sizes, in a list of one.

    Shapes: (n, in_channels, h, w) to (n, channels, h, w); the blocks between have a quarter of the channels.
    """

    def __init__(self, in_channels: int, channels: int = 512, dilations: Sequence[int] = (2, 4, 6, 8)) -> None:
        super().__init__()
        self.lateral_conv = nn.Conv2d(in_channels, channels, 1)
        self.lateral_norm = nn.BatchNorm2d(channels)
        self.fpn_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.fpn_norm = nn.BatchNorm2d(channels)
        self.dilated_encoder_blocks = nn.Sequential(*(DilatedBlock(channels, d) for d in dilations))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        x = self.lateral_norm(self.lateral_conv(levels[-1]))
        return [self.dilated_encoder_blocks(self.fpn_norm(self.fpn_conv(x)))]


class DilatedBlock(nn.Module):
    """A bottleneck with a dilated 3x3 convolution and a shortcut: (n, channels, h, w) to the same."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, channels // 4, 1, norm="bn")
        self.conv2 = ConvNorm(channels // 4, channels // 4, 3, norm="bn")
        self.conv2.conv.dilation = self.conv2.conv.padding = (dilation, dilation)
        self.conv3 = ConvNorm(channels // 4, channels, 1, norm="bn")

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv3(self.conv2(self.conv1(x)))


def from_config(section: Section, trunk: Trunk) -> Neck:
    """OpenMMLab's DilatedEncoder on the backbone's last level."""
    section.same("in_channels", trunk.channels[-1])
    channels = section.integer("out_channels", 512)
    section.same("block_mid_channels", channels // 4, 128)
    dilations = section.integers("block_dilations", (2, 4, 6, 8))
    section.same("num_residual_blocks", len(dilations), 4)
    build = partial(DilatedEncoder, trunk.channels[-1], channels, dilations)
    return Neck(build, trunk.levels[-1:], channels, trunk.strides[-1:])
