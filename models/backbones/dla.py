"""Deep Layer Aggregation (Yu et al., arXiv 1707.06484), the 34-layer network, with its authors' parameter names."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, which the enclosing tree provides."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)) + shortcut)


class Root(nn.Module):
    """Concatenated maps to one: a 1x1 convolution, normalisation, ReLU."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return torch.relu(self.bn(self.conv(torch.cat(list(maps), 1))))


class Tree(nn.Module):
    """Blocks whose results are aggregated hierarchically (section 3.2, figure 3).

    Shapes: (n, in_channels, h, w) to (n, channels, ceil(h / stride), ceil(w / stride)). A tree of depth d has 2^d
    blocks. Its root gets `carried` channels from outside, by the second argument of `forward`, and its own input if it
    `carries`.
    """

    def __init__(
        self, depth: int, in_channels: int, channels: int, stride: int = 1, *, carries: bool = False, carried: int = 0
    ) -> None:
        super().__init__()
        self.depth, self.stride, self.carries = depth, stride, carries
        if carries:
            carried += in_channels
        if depth == 1:
            self.tree1 = Block(in_channels, channels, stride)
            self.tree2 = Block(channels, channels, 1)
            self.root = Root(2 * channels + carried, channels)
            self.project: nn.Module = nn.Identity()
            if in_channels != channels:
                self.project = nn.Sequential(nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        else:
            self.tree1 = Tree(depth - 1, in_channels, channels, stride)
            self.tree2 = Tree(depth - 1, channels, channels, carried=carried + channels)

    def forward(self, x: Tensor, children: Sequence[Tensor] = ()) -> Tensor:
        # Odd sides are rounded up, as in strided convolutions, so that sizes may stay dynamic in an export.
        below = F.max_pool2d(x, self.stride, ceil_mode=True) if self.stride > 1 else x
        if self.carries:
            children = [*children, below]
        if self.depth > 1:
            first = self.tree1(x)
            return self.tree2(first, [*children, first])
        first = self.tree1(x, self.project(below))
        return self.root([self.tree2(first, first), first, *children])


class DLA34(nn.Module):
    """Image to six levels at strides 1, 2, 4, 8, 16, 32.

    Shapes: (n, 3, h, w) to six (n, channels[i], ceil(h / stride), ceil(w / stride)).
    """

    def __init__(self, channels: Sequence[int] = (16, 32, 64, 128, 256, 512)) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.base_layer = _convolution(3, channels[0], 7)
        self.level0 = _convolution(channels[0], channels[0], 3)
        self.level1 = _convolution(channels[0], channels[1], 3, stride=2)
        self.level2 = Tree(1, channels[1], channels[2], 2)
        self.level3 = Tree(2, channels[2], channels[3], 2, carries=True)
        self.level4 = Tree(2, channels[3], channels[4], 2, carries=True)
        self.level5 = Tree(1, channels[4], channels[5], 2, carries=True)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.base_layer(image)
        levels: list[Tensor] = []
        for stage in (self.level0, self.level1, self.level2, self.level3, self.level4, self.level5):
            x = stage(x)
            levels.append(x)
        return levels


def _convolution(in_channels: int, channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )
