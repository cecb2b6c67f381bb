"""YOLOv3's top-down path (Redmon and Farhadi, "YOLOv3: An Incremental Improvement", arXiv 1804.02767, section 2.3)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..backbones.darknet import ConvLeaky, check_leaky
from ..config.norms import batch_norm, normed
from ..config.parts import Neck, Trunk
from ..config.section import Section


class YOLOv3Neck(nn.Module):
    """Three backbone levels to as many maps, the coarsest first.

    Shapes: (n, in_channels[i], h, w) to (n, channels[i], h', w'), where `channels` belong to the coarsest level first.
    """

    def __init__(self, in_channels: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        fine, middle, coarse = in_channels
        self.detect1 = _detect(coarse, channels[0])
        self.conv1 = ConvLeaky(channels[0], channels[1], 1)
        self.detect2 = _detect(middle + channels[1], channels[1])
        self.conv2 = ConvLeaky(channels[1], channels[2], 1)
        self.detect3 = _detect(fine + channels[2], channels[2])

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        fine, middle, coarse = levels
        first = self.detect1(coarse)
        second = self.detect2(_joined(self.conv1(first), middle))
        return [first, second, self.detect3(_joined(self.conv2(second), fine))]


def _joined(x: Tensor, finer: Tensor) -> Tensor:
    return torch.cat((F.interpolate(x, size=finer.shape[2:]), finer), 1)


def alternating(in_channels: int, channels: int, count: int) -> list[ConvLeaky]:
    """Alternating convolutions: 1x1 to `channels` and 3x3 to twice as many."""
    layers: list[ConvLeaky] = []
    for i in range(count):
        out, kernel = (2 * channels, 3) if i % 2 else (channels, 1)
        layers.append(ConvLeaky(in_channels, out, kernel))
        in_channels = out
    return layers


def _detect(in_channels: int, channels: int) -> nn.Sequential:
    block = nn.Sequential()
    for i, layer in enumerate(alternating(in_channels, channels, 5), 1):
        block.add_module(f"conv{i}", layer)
    return block


class SpatialPyramid(nn.Module):
    """A map and the largest values around every cell in windows of 5, 9 and 13: (n, c, h, w) to (n, 4c, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, *(F.max_pool2d(x, size, 1, size // 2) for size in (5, 9, 13))], 1)


def from_config(section: Section, trunk: Trunk) -> Neck:
    """OpenMMLab's YOLOV3Neck."""
    section.same("num_scales", 3)
    section.same("in_channels", trunk.channels[::-1])
    section.fixed(conv_cfg=None)
    check_leaky(section)
    channels = section.integers("out_channels", count=3)
    network = partial(YOLOv3Neck, trunk.channels, channels)
    return Neck(normed(network, batch_norm(section)), trunk.levels, channels, trunk.strides[::-1])
