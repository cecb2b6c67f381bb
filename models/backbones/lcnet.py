"""PP-LCNet (Cui et al., "PP-LCNet: A Lightweight CPU Convolutional Neural Network", arXiv 2109.15099)."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvAct

# Of each stage the blocks: kernel, channels out, stride; the last stage squeezes and excites.
_STAGES = (
    ((3, 32, 1),),
    ((3, 64, 2), (3, 64, 1)),
    ((3, 128, 2), (3, 128, 1)),
    ((3, 256, 2), *((5, 256, 1),) * 5),
    ((5, 512, 2), (5, 512, 1)),
)
_STEM = 16
_conv = partial(ConvAct, activation=F.hardswish)


class SqueezeExcite(nn.Module):
    """Channels scaled by factors in 0..1 that are computed from their means (Hu et al., arXiv 1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels // 4, 1)
        self.conv2 = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * F.hardsigmoid(self.conv2(torch.relu(self.conv1(means))))


class LCBlock(nn.Module):
    """A depthwise and a 1x1 convolution, with `excite` a squeeze and excitation between them."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int = 1, *, excite: bool = False) -> None:
        super().__init__()
        self.dw_conv = _conv(in_channels, in_channels, kernel, stride=stride, groups=in_channels)
        self.se = SqueezeExcite(in_channels) if excite else nn.Identity()
        self.pw_conv = _conv(in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pw_conv(self.se(self.dw_conv(x)))


class LCNet(nn.Module):
    """Image to three levels at strides 8, 16, 32.

    Shapes: (n, 3, h, w) to three (n, channels[i], ceil(h / stride), ceil(w / stride)). `wide` is a factor of the
    channels, which are rounded to multiples of 8.
    """

    def __init__(self, *, wide: float = 1.0) -> None:
        super().__init__()
        in_channels = rounded(_STEM * wide)
        self.conv1 = _conv(3, in_channels, 3, stride=2)
        channels: list[int] = []
        for i, stage in enumerate(_STAGES, 2):
            blocks: list[nn.Module] = []
            for kernel, width, stride in stage:
                width = rounded(width * wide)
                blocks.append(LCBlock(in_channels, width, kernel, stride, excite=stage is _STAGES[-1]))
                in_channels = width
            setattr(self, f"blocks{i}", nn.Sequential(*blocks))
            channels.append(in_channels)
        self.channels = tuple(channels[2:])

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.blocks3(self.blocks2(self.conv1(image)))
        levels: list[Tensor] = []
        for stage in (self.blocks4, self.blocks5, self.blocks6):
            x = stage(x)
            levels.append(x)
        return levels


def rounded(channels: float, step: int = 8) -> int:
    """The nearest multiple of `step` that is at most a tenth below `channels`."""
    nearest = max(step, int(channels + step / 2) // step * step)
    return nearest + step if nearest < 0.9 * channels else nearest
