"""DANet's head (Fu et al., "Dual Attention Network for Scene Segmentation", arXiv 1809.02983)."""

import torch
from torch import Tensor, nn


class PositionAttention(nn.Module):
    """Adds to each place the mean of all places, weighted by their likeness (section 3.2).

    Shapes: (n, channels, h, w) to the same; time and memory grow with the square of h * w.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query_conv = nn.Conv2d(channels, channels // 8, 1)
        self.key_conv = nn.Conv2d(channels, channels // 8, 1)
        self.value_conv = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        # The sums of products are beyond the range of half precision.
        query, key, value = (f(x).flatten(2).float() for f in (self.query_conv, self.key_conv, self.value_conv))
        likeness = (query.transpose(1, 2) @ key).softmax(-1)
        return x + self.gamma * (value @ likeness.transpose(1, 2)).view_as(x).to(x.dtype)


class ChannelAttention(nn.Module):
    """Adds to each channel the mean of all channels, weighted by their unlikeness, as the authors' code does
    (section 3.3).
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2).float()
        likeness = flat @ flat.transpose(1, 2)
        weights = (likeness.amax(-1, keepdim=True) - likeness).softmax(-1)
        return x + self.gamma * (weights @ flat).view_as(x).to(x.dtype)


def _layer(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )


class DANetHead(nn.Module):
    """A level (n, c, h, w) to features (n, channels, h, w) that saw all places and all channels."""

    def __init__(self, in_channels: int, channels: int = 512) -> None:
        super().__init__()
        self.conv5a, self.conv5c = _layer(in_channels, channels), _layer(in_channels, channels)
        self.sa, self.sc = PositionAttention(channels), ChannelAttention()
        self.conv51, self.conv52 = _layer(channels, channels), _layer(channels, channels)
        self.conv8 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv8(self.conv51(self.sa(self.conv5a(x))) + self.conv52(self.sc(self.conv5c(x))))
