"""RefineDet's transfer connections (Zhang et al., "Single-Shot Refinement Neural Network for Object Detection", arXiv
1711.06897, section 3.1)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .ssd import L2Norm

Pairs = list[tuple[Tensor, Tensor]]


class RefineNeck(nn.Module):
    """Three backbone levels and a fourth to pairs of maps: one to refine the anchors, one to find objects.

    Shapes: (n, in_channels[i], h, w) each to (n, in_channels[i], h, w) and (n, channels, h, w). The first two levels
    are normalised along their channels.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.conv4_3_L2Norm = L2Norm(in_channels[0], 10.0)
        self.conv5_3_L2Norm = L2Norm(in_channels[1], 8.0)
        coarse = 2 * channels
        self.extras = nn.ModuleList(
            [nn.Conv2d(in_channels[-1], channels, 1), nn.Conv2d(channels, coarse, 3, stride=2, padding=1)]
        )
        self.channels = (*in_channels, coarse)
        self.tcb0 = nn.ModuleList(
            nn.Sequential(_conv(c, channels), nn.ReLU(), _conv(channels, channels)) for c in self.channels
        )
        self.tcb1 = nn.ModuleList(nn.ConvTranspose2d(channels, channels, 2, 2) for _ in in_channels)
        self.tcb2 = nn.ModuleList(_conv(channels, channels) for _ in self.channels)

    def forward(self, levels: Sequence[Tensor]) -> Pairs:
        x = levels[-1]
        for layer in self.extras:
            x = torch.relu(layer(x))
        sources = [self.conv4_3_L2Norm(levels[0]), self.conv5_3_L2Norm(levels[1]), levels[2], x]
        found: list[Tensor] = []
        for i in range(len(sources) - 1, -1, -1):
            x = self.tcb0[i](sources[i])
            if found:
                x = x + self.tcb1[i](found[0])
            found.insert(0, torch.relu(self.tcb2[i](torch.relu(x))))
        return list(zip(sources, found, strict=True))


def _conv(in_channels: int, channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, channels, 3, padding=1)
