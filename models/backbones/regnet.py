"""RegNetX (Radosavovic et al., "Designing Network Design Spaces", arXiv 2003.13678)."""

import math
from functools import partial
from itertools import groupby

import torch
from torch import Tensor, nn

_STEM = 32


class RegNetBlock(nn.Module):
    """1x1, grouped 3x3 and 1x1 convolutions of one width, around a shortcut."""

    def __init__(self, in_channels: int, width: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1:
            layers = nn.Conv2d(in_channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            self.downsample = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        return torch.relu(self.bn3(self.conv3(out)) + self.downsample(x))


class RegNet(nn.Module):
    """Image to four levels at strides 4, 8, 16, 32.

    Shapes: (n, 3, h, w) to four (n, channels[i], ceil(h / stride), ceil(w / stride)). Block k's width is
    `first` + k * `slope`, brought to the nearest `first` * `factor`^i and to multiples of 8 and of `group`, the width
    of the groups (equations 2 to 4).
    """

    def __init__(self, *, first: float, slope: float, factor: float, group: int, depth: int) -> None:
        super().__init__()
        widths = [_width(first + k * slope, first, factor) for k in range(depth)]
        self.conv1 = nn.Conv2d(3, _STEM, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM)
        in_channels, channels = _STEM, []
        for i, (width, blocks) in enumerate(groupby(widths), 1):
            size = min(group, width)
            width = round(width / size) * size
            stage: list[nn.Module] = []
            for _ in blocks:
                stage.append(RegNetBlock(in_channels, width, 1 if stage else 2, width // size))
                in_channels = width
            channels.append(width)
            setattr(self, f"layer{i}", nn.Sequential(*stage))
        self.channels = tuple(channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = torch.relu(self.bn1(self.conv1(image)))
        levels: list[Tensor] = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            levels.append(x)
        return levels


def _width(wanted: float, first: float, factor: float) -> int:
    step = round(math.log(wanted / first) / math.log(factor))
    return round(first * factor**step / 8) * 8


X_800MF = partial(RegNet, first=56, slope=35.73, factor=2.28, group=16, depth=16)
X_1_6GF = partial(RegNet, first=80, slope=34.01, factor=2.25, group=24, depth=18)
X_3_2GF = partial(RegNet, first=88, slope=26.31, factor=2.25, group=48, depth=25)
TINY_REGNET = partial(RegNet, first=8, slope=24, factor=2.0, group=8, depth=5)
