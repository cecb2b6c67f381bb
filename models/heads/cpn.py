"""The head of a cascaded pyramid network (Chen et al., "Cascaded Pyramid Network for Multi-Person Pose Estimation",
arXiv 1711.07319)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CPNHead(nn.Module):
    """Four levels, finest first, to `heatmaps` (n, keypoints, h, w) at the size of the finest.

    GlobalNet is a pyramid (section 3.1); its own maps serve training alone. RefineNet passes each of its levels through
    bottlenecks, the coarser the more, and joins them all (section 3.2). Everything is enlarged between pixel centres.
    """

    def __init__(self, keypoints: int, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(_unit(level, width, relu=True) for level in reversed(channels))
        self.upsamples = nn.ModuleList(
            nn.Sequential(nn.UpsamplingBilinear2d(scale_factor=2), *_unit(width, width, relu=False))
            for _ in channels[1:]
        )
        last = len(channels) - 1
        self.cascade = nn.ModuleList(
            nn.Sequential(*(RefineBlock(width, width) for _ in range(last - i))) for i in range(len(channels))
        )
        self.final_predict = nn.Sequential(
            RefineBlock(len(channels) * width, width),
            nn.Conv2d(width, keypoints, 3, 1, 1, bias=False),
            nn.BatchNorm2d(keypoints),
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        size = levels[0].shape[2:]
        pyramid: list[Tensor] = []
        for i, (lateral, level) in enumerate(zip(self.laterals, reversed(levels), strict=True)):
            x = lateral(level)
            pyramid.append(x if i == 0 else x + self.upsamples[i - 1](pyramid[-1]))
        refined = [blocks(x) for blocks, x in zip(self.cascade, pyramid, strict=True)]
        joined = [F.interpolate(x, size=size, mode="bilinear", align_corners=True) for x in refined[:-1]]
        return self.final_predict(torch.cat([*joined, refined[-1]], 1))

    def decode(self, maps: Tensor) -> dict[str, Tensor]:
        return {"heatmaps": maps.float()}


class RefineBlock(nn.Module):
    """A bottleneck half as wide inside, whose shortcut is always a convolution."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample = _unit(in_channels, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        return torch.relu(self.bn3(self.conv3(out)) + self.downsample(x))


def _unit(in_channels: int, channels: int, *, relu: bool) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, channels, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), *([nn.ReLU()] if relu else []))
