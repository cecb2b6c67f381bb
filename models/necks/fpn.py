"""Feature pyramid (Lin et al., "Feature Pyramid Networks for Object Detection", arXiv 1612.03144)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm


class FPN(nn.Module):
    """Backbone levels to `levels` pyramid levels P3, P4, ... of equal width.

    Shapes: (n, in_channels[i], h, w) each to (n, channels, h, w); the extra, coarser levels halve the size.
    The extra levels start from the last output and carry no ReLU between them, as in ATSS and GFL.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, levels: int) -> None:
        super().__init__()
        extra = levels - len(in_channels)
        self.lateral_convs = nn.ModuleList(ConvNorm(c, channels, 1, relu=False) for c in in_channels)
        self.fpn_convs = nn.ModuleList(
            [ConvNorm(channels, channels, 3, relu=False) for _ in in_channels]
            + [ConvNorm(channels, channels, 3, stride=2, relu=False) for _ in range(extra)]
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        merged = [conv(x) for conv, x in zip(self.lateral_convs, levels, strict=True)]
        for i in range(len(merged) - 1, 0, -1):
            merged[i - 1] = merged[i - 1] + F.interpolate(merged[i], size=merged[i - 1].shape[2:])
        outputs = [conv(x) for conv, x in zip(self.fpn_convs, merged, strict=False)]
        for conv in self.fpn_convs[len(merged) :]:
            outputs.append(conv(outputs[-1]))
        return outputs
