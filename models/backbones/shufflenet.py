"""ShuffleNet (Zhang et al., "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices", arXiv
1707.01083)."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm, eighths
from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section
from ..config.trunks import check_activation, read_stages

_WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""The channels of the first stage by the number of groups (table 1)."""
_BLOCKS, _STEM = (4, 8, 4), 24
_STRIDES = (8, 16, 32)


class ShuffleUnit(nn.Module):
    """A bottleneck of grouped convolutions with shuffled channels; one that `halves` the image concatenates its pooled
    input (figure 2, b and c).

    Shapes: (n, in_channels, h, w) to (n, channels, h, w), or half the size. A `first` unit begins without groups.
    """

    def __init__(self, in_channels: int, channels: int, groups: int, *, halves: bool, first: bool) -> None:
        super().__init__()
        narrow, self.groups, self.halves = channels // 4, groups, halves
        self.g_conv_1x1_compress = ConvNorm(in_channels, narrow, 1, norm="bn", groups=1 if first else groups)
        self.depthwise_conv3x3_bn = ConvNorm(narrow, narrow, 3, stride=1 + halves, norm="bn", relu=False, groups=narrow)
        added = channels - in_channels if halves else channels
        self.g_conv_1x1_expand = ConvNorm(narrow, added, 1, norm="bn", relu=False, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        out = self.depthwise_conv3x3_bn(self.g_conv_1x1_compress(x))
        out = out.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)
        out = self.g_conv_1x1_expand(out)
        if self.halves:
            return torch.cat((F.avg_pool2d(x, 3, 2, 1), torch.relu(out)), 1)
        return torch.relu(x + out)


class ShuffleNet(nn.Module):
    """Image to three levels at strides 8, 16, 32.

    Shapes: (n, 3, h, w) to three (n, channels[i], ceil(h / stride), ceil(w / stride)). `groups` is 1, 2, 3, 4 or 8, and
    `wide` a factor of the channels.
    """

    def __init__(self, groups: int = 3, *, wide: float = 1.0) -> None:
        super().__init__()
        in_channels = int(_STEM * wide)
        self.channels = tuple(eighths((_WIDTHS[groups] << i) * wide) for i in range(3))
        self.conv1 = ConvNorm(3, in_channels, 3, stride=2, norm="bn")
        self.layers = nn.ModuleList()
        for i, (channels, count) in enumerate(zip(self.channels, _BLOCKS, strict=True)):
            units = [ShuffleUnit(in_channels, channels, groups, halves=True, first=i == 0)]
            units += [ShuffleUnit(channels, channels, groups, halves=False, first=False) for _ in range(count - 1)]
            self.layers.append(nn.Sequential(*units))
            in_channels = channels

    def forward(self, image: Tensor) -> list[Tensor]:
        x = F.max_pool2d(self.conv1(image), 3, 2, 1)
        levels: list[Tensor] = []
        for stage in self.layers:
            x = stage(x)
            levels.append(x)
        return levels


def from_config(section: Section) -> Trunk:
    """OpenMMLab's ShuffleNetV1."""
    section.fixed(conv_cfg=None)
    check_activation(section, "ReLU")
    levels = read_stages(section, (2,), (0, 1, 2))
    groups = section.choice("groups", {groups: groups for groups in _WIDTHS}, 3)
    network = partial(ShuffleNet, groups, wide=section.factor("widen_factor"))
    return Trunk(normed(network, batch_norm(section)), levels, tuple(_STRIDES[level] for level in levels))
