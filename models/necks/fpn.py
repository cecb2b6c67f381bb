"""Feature pyramids: FPN (Lin et al., arXiv 1612.03144), and with a way back down that of PANet (Liu et al., arXiv
1803.01534)."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm


class FPN(nn.Module):
    """Backbone levels to `levels` pyramid levels P3, P4, ... of equal width.

    Shapes: (n, in_channels[i], h, w) each to (n, channels, h, w); the extra, coarser levels halve the size.
    The first extra level starts from the last "output" (FCOS, ATSS, GFL), from the last "input" (RetinaNet) or from
    the last "lateral"; `relu` comes before each extra level but the first. `lateral_norm` and `norm` are those of
    `ConvNorm` in the first 1x1 convolutions and in all others. With `bottom_up` every level also gets what the finer
    one has (PANet, figure 1b), and then a convolution: a "plain" one but for P3, or a modulated "deformable" one.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        levels: int,
        *,
        extra: Literal["output", "input", "lateral"] = "output",
        relu: bool = False,
        lateral_norm: str | None = None,
        norm: str | None = None,
        bottom_up: Literal["plain", "deformable"] | None = None,
    ) -> None:
        super().__init__()
        self.extra, self.relu, self.bottom_up = extra, relu, bottom_up
        sources = [in_channels[-1] if extra == "input" else channels] + [channels] * (levels - len(in_channels) - 1)
        layer = partial(ConvNorm, norm=norm, relu=False)
        self.lateral_convs = nn.ModuleList(ConvNorm(c, channels, 1, norm=lateral_norm, relu=False) for c in in_channels)
        self.fpn_convs = nn.ModuleList(
            [layer(channels, channels, 3) for _ in in_channels]
            + [layer(c, channels, 3, stride=2) for c in sources[: levels - len(in_channels)]]
        )
        if bottom_up:
            deformable, steps = bottom_up == "deformable", len(in_channels) - 1
            self.downsample_convs = nn.ModuleList(layer(channels, channels, 3, stride=2) for _ in range(steps))
            self.pafpn_convs = nn.ModuleList(
                layer(channels, channels, 3, deformable=deformable) for _ in range(steps + deformable)
            )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        merged = [conv(x) for conv, x in zip(self.lateral_convs, levels, strict=True)]
        for i in range(len(merged) - 1, 0, -1):
            merged[i - 1] = merged[i - 1] + F.interpolate(merged[i], size=merged[i - 1].shape[2:])
        outputs = [conv(x) for conv, x in zip(self.fpn_convs, merged, strict=False)]
        if self.bottom_up:
            for i, conv in enumerate(self.downsample_convs):
                outputs[i + 1] = outputs[i + 1] + conv(outputs[i])
            plain = len(outputs) - len(self.pafpn_convs)
            outputs[plain:] = [conv(x) for conv, x in zip(self.pafpn_convs, outputs[plain:], strict=True)]
        x = {"output": outputs, "input": levels, "lateral": merged}[self.extra][-1]
        for i, conv in enumerate(self.fpn_convs[len(merged) :]):
            x = conv(torch.relu(x) if self.relu and i > 0 else x)
            outputs.append(x)
        return outputs
