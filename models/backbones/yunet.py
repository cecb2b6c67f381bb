"""YuNet's backbone (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Unit(nn.Module):
    """A 1x1 and a depthwise 3x3 convolution with nothing in between; with `norm`, batch norm and ReLU follow."""

    def __init__(self, in_channels: int, out_channels: int, *, norm: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, groups=out_channels)
        self.bn = nn.BatchNorm2d(out_channels) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.conv1(x))
        return x if self.bn is None else torch.relu(self.bn(x))


class Stem(nn.Module):
    """Image (n, 3, h, w) to (n, channels, ceil(h / 2), ceil(w / 2))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels, 3, 2, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = Unit(channels, channels)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv2(torch.relu(self.bn1(self.conv1(image))))


class Stage(nn.Module):
    """Two units, the second of which changes the number of channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = Unit(in_channels, in_channels), Unit(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class YuNetBackbone(nn.Module):
    """Image to three levels at strides 8, 16, 32.

    Shapes: (n, 3, h, w) to three (n, channels[i], h / stride, w / stride). `widths` are the channels of the stem and of
    the five stages; the sides of the image are multiples of 32.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.model0 = Stem(widths[0])
        for i in range(1, 6):
            setattr(self, f"model{i}", Stage(widths[i - 1], widths[i]))
        self.channels = tuple(widths[3:])

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.model1(F.max_pool2d(self.model0(image), 2))
        levels = [self.model3(F.max_pool2d(self.model2(x), 2))]
        for stage in (self.model4, self.model5):
            levels.append(stage(F.max_pool2d(levels[-1], 2)))
        return levels
