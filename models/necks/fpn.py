"""Feature pyramid (Lin et al., "Feature Pyramid Networks for Object Detection", arXiv 1612.03144)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm


class FPN(nn.Module):
    """Backbone levels to `levels` pyramid levels P3, P4, ... of equal width.

    Shapes: (n, in_channels[i], h, w) each to (n, channels, h, w); the extra, coarser levels halve the size.
    The first extra level starts from the last "output" (FCOS, ATSS, GFL), from the last "input" (RetinaNet) or from
    the last "lateral"; `relu` comes before each extra level but the first.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        levels: int,
        *,
        extra: Literal["output", "input", "lateral"] = "output",
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.extra, self.relu = extra, relu
        sources = [in_channels[-1] if extra == "input" else channels] + [channels] * (levels - len(in_channels) - 1)
        self.lateral_convs = nn.ModuleList(ConvNorm(c, channels, 1, relu=False) for c in in_channels)
        self.fpn_convs = nn.ModuleList(
            [ConvNorm(channels, channels, 3, relu=False) for _ in in_channels]
            + [ConvNorm(c, channels, 3, stride=2, relu=False) for c in sources[: levels - len(in_channels)]]
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        merged = [conv(x) for conv, x in zip(self.lateral_convs, levels, strict=True)]
        for i in range(len(merged) - 1, 0, -1):
            merged[i - 1] = merged[i - 1] + F.interpolate(merged[i], size=merged[i - 1].shape[2:])
        outputs = [conv(x) for conv, x in zip(self.fpn_convs, merged, strict=False)]
        x = {"output": outputs, "input": levels, "lateral": merged}[self.extra][-1]
        for i, conv in enumerate(self.fpn_convs[len(merged) :]):
            x = conv(torch.relu(x) if self.relu and i > 0 else x)
            outputs.append(x)
        return outputs
