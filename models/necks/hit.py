"""The neck that Hit-Detector's search found (Guo et al., arXiv 2003.11818)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..backbones.fbnet import dilated
from ..blocks import ConvNorm

# Kernel and dilation at each level, finest first, before and after the levels are added.
_BEFORE, _AFTER = ((5, 3), (5, 3), (5, 2), (3, 3)), ((3, 3), (5, 3), (5, 3), (3, 3))


class _Cell(nn.Module):
    """A dilated depthwise and a 1x1 convolution, with a shortcut if the number of channels stays."""

    def __init__(self, in_channels: int, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = dilated(ConvNorm(in_channels, in_channels, kernel, norm="bn", groups=in_channels), dilation)
        self.conv2 = ConvNorm(in_channels, channels, 1, norm="bn", relu=False)
        self.shortcut = in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        found = self.conv2(self.conv1(x))
        return x + found if self.shortcut else found


class HitNeck(nn.Module):
    """Four backbone levels to five of equal width, by a top-down and a bottom-up path.

    Shapes: (n, in_channels[i], h, w) each to (n, channels, h, w); the fifth halves the size. Sides must be multiples of
    the coarsest level's stride.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        before = (_Cell(c, channels, *form) for c, form in zip(in_channels, _BEFORE, strict=True))
        self.cells = nn.ModuleList([*before, *(_Cell(channels, channels, *form) for form in _AFTER)])
        self.pa_convs = nn.ModuleList(ConvNorm(channels, channels, 3, relu=False) for _ in _AFTER[1:])

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        count = len(levels)
        merged = [cell(x) for cell, x in zip(self.cells[:count], levels, strict=True)]
        for i in range(count - 1, 0, -1):
            merged[i - 1] = merged[i - 1] + F.interpolate(merged[i], scale_factor=2.0, mode="nearest")
        outputs = [cell(x) for cell, x in zip(self.cells[count:], merged, strict=True)]
        for i, conv in enumerate(self.pa_convs):
            outputs[i + 1] = conv(F.max_pool2d(outputs[i], 2) + outputs[i + 1])
        return [*outputs, F.max_pool2d(outputs[-1], 1, 2)]
