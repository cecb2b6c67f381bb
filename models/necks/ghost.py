"""Ghost modules (Han et al., "GhostNet: More Features from Cheap Operations", arXiv 1911.11907), which NanoDet-Plus'
neck is made of."""

import torch
from torch import Tensor, nn

_SLOPE = 0.1


class GhostModule(nn.Module):
    """Half of the channels by a 1x1 convolution, and the other half from these by a depthwise 3x3 (section 3.1).

    Shapes: (n, in_channels, h, w) to (n, channels, h, w); an `activation` follows both.
    """

    def __init__(self, in_channels: int, channels: int, *, activation: bool) -> None:
        super().__init__()
        half = channels // 2

        def layer(convolution: nn.Conv2d) -> nn.Sequential:
            return nn.Sequential(
                convolution, nn.BatchNorm2d(half), nn.LeakyReLU(_SLOPE) if activation else nn.Identity()
            )

        self.primary_conv = layer(nn.Conv2d(in_channels, half, 1, bias=False))
        self.cheap_operation = layer(nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        first = self.primary_conv(x)
        return torch.cat((first, self.cheap_operation(first)), 1)


class GhostBottleneck(nn.Module):
    """Two ghost modules in parallel with a separable 5x5 convolution (section 3.2)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.ghost1 = GhostModule(in_channels, channels, activation=True)
        self.ghost2 = GhostModule(channels, channels, activation=False)
        self.shortcut = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 5, padding=2, groups=in_channels, bias=False),
            nn.BatchNorm2d(in_channels),
            nn.Conv2d(in_channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.ghost2(self.ghost1(x)) + self.shortcut(x)


class GhostBlocks(nn.Module):
    """One ghost bottleneck, under the name that NanoDet-Plus gives it."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(GhostBottleneck(in_channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)
