"""ESNet, PicoDet's backbone (Yu et al., "PP-PicoDet: A Better Real-Time Object Detector on Mobile Devices", arXiv
2111.00902, section 3.1): ShuffleNet V2 with squeeze and excitation and a width of its own in each block."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvAct, ConvNorm
from .lcnet import SqueezeExcite, rounded
from .shufflenetv2 import StageTrunk

_STEM = 24
_STAGES = (3, 7, 3)
_conv = partial(ConvAct, activation=F.hardswish)


def _depthwise(channels: int, stride: int) -> nn.Module:
    return ConvNorm(channels, channels, 3, stride=stride, norm="bn", relu=False, groups=channels)


class ShuffleBlock(nn.Module):
    """A branch changes one half of the channels, and both halves are shuffled: (n, channels, h, w) to the same."""

    def __init__(self, channels: int, middle: int) -> None:
        super().__init__()
        half, narrow = channels // 2, middle // 2
        self.conv_pw = _conv(half, narrow, 1)
        self.conv_dw = _depthwise(narrow, 1)
        self.se = SqueezeExcite(middle)
        self.conv_linear = _conv(middle, half, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = x.chunk(2, 1)
        narrow = self.conv_pw(changed)
        changed = self.conv_linear(self.se(torch.cat((narrow, self.conv_dw(narrow)), 1)))
        return torch.stack((kept, changed), 2).flatten(1, 2)  # The channels of both halves alternate.


class HalvingBlock(nn.Module):
    """Two branches halve the image, and a separable convolution joins them.

    Shapes: (n, in_channels, h, w) to (n, channels, ceil(h / 2), ceil(w / 2)).
    """

    def __init__(self, in_channels: int, channels: int, middle: int) -> None:
        super().__init__()
        half, narrow = channels // 2, middle // 2
        self.conv_dw_1 = _depthwise(in_channels, 2)
        self.conv_linear_1 = _conv(in_channels, half, 1)
        self.conv_pw_2 = _conv(in_channels, narrow, 1)
        self.conv_dw_2 = _depthwise(narrow, 2)
        self.se = SqueezeExcite(narrow)
        self.conv_linear_2 = _conv(narrow, half, 1)
        self.conv_dw_mv1 = _conv(channels, channels, 3, groups=channels)
        self.conv_pw_mv1 = _conv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv_linear_1(self.conv_dw_1(x))
        second = self.conv_linear_2(self.se(self.conv_dw_2(self.conv_pw_2(x))))
        return self.conv_pw_mv1(self.conv_dw_mv1(torch.cat((first, second), 1)))


class ESNet(StageTrunk):
    """Image to three levels at strides 8, 16, 32.

    Shapes: (n, 3, h, w) to three (n, channels[i], ceil(h / stride), ceil(w / stride)). `wide` is a factor of the
    stages' channels, and `ratios` those of the width inside each of the 13 blocks.
    """

    def __init__(self, ratios: Sequence[float], *, wide: float = 1.0) -> None:
        super().__init__()
        self.conv1 = _conv(3, _STEM, 3, stride=2)
        self.channels = tuple(rounded(width * wide, 16) for width in (128, 256, 512))
        in_channels, left = _STEM, iter(ratios)
        for i, (channels, count) in enumerate(zip(self.channels, _STAGES, strict=True), 2):
            middles = [rounded(int(channels * next(left))) for _ in range(count)]
            blocks: list[nn.Module] = [HalvingBlock(in_channels, channels, middles[0])]
            blocks += [ShuffleBlock(channels, middle) for middle in middles[1:]]
            setattr(self, f"stage{i}", nn.Sequential(*blocks))
            in_channels = channels
