"""ResNeSt (Zhang et al., "ResNeSt: Split-Attention Networks", arXiv 2004.08955)."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import renorm
from ..config.norms import trunk_norm
from ..config.parts import Trunk
from ..config.section import Section
from . import resnet
from .resnet import Bottleneck, ResNet, averaged_shortcuts


class SplitAttention(nn.Module):
    """A 3x3 convolution in `radix` groups, which are summed with weights that depend on the image (section 3.1).

    Shapes: (n, channels, h, w) to the same, or half the size with a `stride` of 2. Average pooling makes the stride.
    Attention has `reduction` times fewer channels than the groups together, at least 32.
    """

    def __init__(self, channels: int, stride: int, *, radix: int = 2, reduction: int = 4) -> None:
        super().__init__()
        inner = max(channels * radix // reduction, 32)
        self.conv = nn.Conv2d(channels, radix * channels, 3, 1, 1, groups=radix, bias=False)
        self.bn0 = nn.BatchNorm2d(radix * channels)
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.fc2 = nn.Conv2d(inner, radix * channels, 1)
        self.radix, self.stride = radix, stride

    def forward(self, x: Tensor) -> Tensor:
        first, *others = torch.relu(self.bn0(self.conv(x))).chunk(self.radix, 1)
        total = first
        for part in others:
            total = total + part
        logits = self.fc2(torch.relu(self.bn1(self.fc1(total.mean((2, 3), keepdim=True)))))
        weight, *weights = logits.unflatten(1, (self.radix, -1)).softmax(1).unbind(1)
        out = first * weight
        for part, weight in zip(others, weights, strict=True):
            out = out + part * weight
        return out if self.stride == 1 else F.avg_pool2d(out, 3, self.stride, 1)


def split_attention(backbone: ResNet, **options: Any) -> ResNet:
    """The network with split attention in place of its 3x3 convolutions; `options` are those of SplitAttention.

    A sum of ReLUs with positive weights needs no other ReLU, so that the one behind changes nothing.
    """
    for block in backbone.modules():
        if isinstance(block, Bottleneck):
            channels, stride = block.conv2.in_channels, block.conv2.stride[0]
            block.conv2, block.bn2 = SplitAttention(channels, stride, **options), nn.Identity()
    return backbone


def resnest(depth: int, *, stem: int = 64, width: int = 64, least: int = 1) -> ResNet:
    """The network of the paper; `stem` is the width of its stem, `least` as for `averaged_shortcuts`."""
    return averaged_shortcuts(split_attention(ResNet(depth, stem=stem, width=width, deep_stem=True)), least=least)


S50, S101, S200, S269 = (partial(resnest, depth, stem=64 if depth == 50 else 128) for depth in (50, 101, 200, 269))
TINY_RESNEST = partial(resnest, 14, stem=8, width=8)


def from_config(section: Section) -> Trunk:
    """OpenMMLab's ResNeSt."""
    section.with_defaults(deep_stem=True, avg_down=True)
    section.fixed(groups=1, base_width=4, width_per_group=4, avg_down_stride=True, dcn=None)
    radix, reduction = section.integer("radix", 2), section.integer("reduction_factor", 4)
    if radix < 2:
        section.refuse("radix", "2 or more")
    trunk, norm = resnet.from_config(section, depths=(50, 101, 152, 200, 269)), trunk_norm(section)

    def build() -> nn.Module:
        return renorm(split_attention(trunk.build(), radix=radix, reduction=reduction), norm)

    return Trunk(build, trunk.levels, trunk.strides, trunk.mapping)
