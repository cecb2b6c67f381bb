"""Necks of text detectors that concatenate the levels of a backbone, from coarse to fine."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm


class MergingNeck(nn.Module):
    """Backbone levels C2 to C5 to one map at stride 4 (EAST: Zhou et al., arXiv 1704.03155, figure 3).

    Shapes: (n, in_channels[i], h, w) each to (n, channels[-1], h of C2, w of C2). Each time the map is enlarged
    bilinearly and concatenated with the next finer level, and a 1x1 and a 3x3 convolution follow. If it is `gated`, a
    gate of each pixel, 0..1, multiplies the result.
    """

    def __init__(
        self, in_channels: Sequence[int], channels: Sequence[int] = (128, 64, 32), *, gated: bool = False
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = in_channels[-1]
        for finer, out in zip(in_channels[-2::-1], channels, strict=True):
            layers.append(ConvNorm(width + finer, out, 1, norm="bn", bias=True))
            layers.append(ConvNorm(out, out, 3, norm="bn", bias=True))
            width = out
        layers.append(ConvNorm(width, width, 3, norm="bn", bias=True))
        self.layers = nn.ModuleList(layers)
        self.gates = nn.ModuleList(nn.Conv2d(out, 1, 1) for out in channels if gated)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        x = levels[-1]
        for i, finer in enumerate(levels[-2::-1]):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
            x = self.layers[2 * i + 1](self.layers[2 * i](torch.cat((x, finer), 1)))
            x = x * self.gates[i](x).sigmoid() if self.gates else x
        return self.layers[-1](x)


class ConcatenatedFPN(nn.Module):
    """Backbone levels C2 to C5 to one map at stride 4, by a pyramid that concatenates instead of adding (SA-Text).

    Shapes: (n, in_channels[i], h, w) each to (n, out_channels, h of C2, w of C2). `channels` are those of the pyramid.
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 256, out_channels: int = 128) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(ConvNorm(c, channels, 1, norm="bn", bias=True) for c in in_channels[::-1])
        self.smooth = nn.ModuleList(
            ConvNorm(2 * channels, channels, 3, norm="bn", bias=True) for _ in range(len(in_channels) - 1)
        )
        self.out = nn.Sequential(
            ConvNorm(channels, out_channels, 1, norm="bn", bias=True),
            ConvNorm(out_channels, out_channels, 3, norm="bn", bias=True),
        )

    def pyramid(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """The merged maps of all levels, from coarse to fine."""
        first, *others = [lateral(x) for lateral, x in zip(self.laterals, levels[::-1], strict=True)]
        merged = [first]
        for smooth, finer in zip(self.smooth, others, strict=True):
            up = F.interpolate(merged[-1], scale_factor=2.0, mode="nearest")
            merged.append(smooth(torch.cat((up, finer), 1)))
        return merged

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        return self.out(self.pyramid(levels)[-1])
