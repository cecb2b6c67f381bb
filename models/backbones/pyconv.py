"""PyConvResNet (Duta et al., "Pyramidal Convolution: Rethinking Convolutional Neural Networks for Visual Recognition",
arXiv 2006.11538)."""

from functools import partial

import torch
from torch import Tensor, nn

_BLOCKS = {14: (1, 1, 1, 1), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
# Of each stage's pyramids: kernel, groups, and channels as a part of all (table 1).
_PYRAMIDS = (
    ((3, 1, 4), (5, 4, 4), (7, 8, 4), (9, 16, 4)),
    ((3, 1, 4), (5, 4, 4), (7, 8, 2)),
    ((3, 1, 2), (5, 4, 2)),
    ((3, 1, 1),),
)
_GROUPED = ((32, 32, 32, 32), (32, 64, 64), (32, 64), (32,))
"""The groups of the form with more of them (PyConvHGResNet), whose pyramids are twice as wide."""


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int, groups: int) -> nn.Conv2d:
    groups = min(groups, out_channels)  # narrow networks have no more groups than channels
    return nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)


class PyConv(nn.Module):
    """Convolutions of several sizes side by side, concatenated; (n, width, h, w) to (n, width, h / stride, w / stride).

    `levels` holds kernel, groups, and how many times fewer channels than `width` come out of each.
    """

    def __init__(self, width: int, levels: tuple[tuple[int, int, int], ...], stride: int) -> None:
        super().__init__()
        for i, (kernel, groups, part) in enumerate(levels, 1):
            layer = _conv(width, width // part, kernel, stride, groups)
            self.add_module(f"conv2_{i}", layer)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(x) for layer in self.children()], 1)


class PyConvBlock(nn.Module):
    """A bottleneck with a pyramidal convolution, with a shortcut that downsamples by max pooling."""

    def __init__(
        self, in_channels: int, inner: int, channels: int, levels: tuple[tuple[int, int, int], ...], stride: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        (kernel, groups, _), *others = levels
        self.conv2 = PyConv(inner, levels, stride) if others else _conv(inner, inner, kernel, stride, groups)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1:
            layers = nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
            self.downsample = nn.Sequential(nn.MaxPool2d(3, stride, 1), *layers)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        return torch.relu(self.bn3(self.conv3(out)) + self.downsample(x))


class PyConvResNet(nn.Module):
    """Image to four levels at strides 4, 8, 16, 32.

    Shapes: (n, 3, h, w) to four (n, channels[i], ceil(h / stride), ceil(w / stride)). `grouped` is the form with more
    groups; `width` is the stem's number of channels, a power of two.
    """

    def __init__(self, depth: int = 50, *, grouped: bool = False, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        in_channels = width
        for i, (count, levels, groups) in enumerate(zip(_BLOCKS[depth], _PYRAMIDS, _GROUPED, strict=True)):
            if grouped:
                levels = tuple((kernel, g, part) for (kernel, _, part), g in zip(levels, groups, strict=True))
            inner, channels = (width << i) * (2 if grouped else 1), 4 * (width << i)
            blocks: list[nn.Module] = []
            for j in range(count):
                blocks.append(PyConvBlock(in_channels, inner, channels, levels, 2 if j == 0 else 1))
                in_channels = channels
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.channels = tuple(4 * (width << i) for i in range(4))

    def forward(self, image: Tensor) -> list[Tensor]:
        x = torch.relu(self.bn1(self.conv1(image)))
        levels: list[Tensor] = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            levels.append(x)
        return levels


PYCONV_50, PYCONV_HG_50 = PyConvResNet, partial(PyConvResNet, grouped=True)
TINY_PYCONV = partial(PyConvResNet, 14, width=16)
