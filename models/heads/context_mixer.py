"""CCM's head, which mixes context across space and channels again and again (Zhang et al., "Towards High Performance
Human Keypoint Detection", arXiv 2002.00537).

No code is published, and what the paper leaves open is decided here: the rates, the widths, and where the mixers are.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..blocks import SqueezeExcite
from .heatmap import HeatmapHead

_RATES = (1, 2, 3)
"""The dilations of the convolutions side by side: together they have no gaps."""


class ContextMixer(nn.Module):
    """A map plus what its context adds: its channels, scaled by their means over the image, and dilated convolutions.

    Shapes: (n, channels, h, w) to the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = channels // 4
        self.across_channels = SqueezeExcite(channels, narrow)
        self.across_space = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, narrow, 3, 1, rate, rate, bias=False), nn.BatchNorm2d(narrow), nn.ReLU())
            for rate in _RATES
        )
        mixed = channels + len(_RATES) * narrow
        self.mix = nn.Sequential(nn.Conv2d(mixed, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.across_channels(x), *(branch(x) for branch in self.across_space)]
        return torch.relu(x + self.mix(torch.cat(parts, 1)))


class ContextMixerHead(HeatmapHead):
    """A heatmap head with `mixers` context mixers, one behind the other, before its last layer."""

    def __init__(self, keypoints: int, in_channels: int, widths: Sequence[int], *, mixers: int = 3) -> None:
        super().__init__(keypoints, in_channels, widths)
        self.conv_layers = nn.Sequential(*(ContextMixer(widths[-1]) for _ in range(mixers)))
