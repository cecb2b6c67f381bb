"""A feature pyramid with content-aware upsampling (Wang et al., "CARAFE: Content-Aware ReAssembly of FEatures", arXiv
1905.02188)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm

_WINDOW, _SCALE = 5, 2


class Carafe(nn.Module):
    """A map at twice its size: each cell is a weighted mean of the window around its source.

    Shapes: (n, channels, h, w) to (n, channels, 2 * h, 2 * w). The map, compressed to `narrow` channels, itself
    predicts the weights (section 3.2).
    """

    def __init__(self, channels: int, narrow: int = 64) -> None:
        super().__init__()
        self.channel_compressor = nn.Conv2d(channels, narrow, 1)
        self.content_encoder = nn.Conv2d(narrow, (_WINDOW * _SCALE) ** 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.content_encoder(self.channel_compressor(x))
        # A window's weights at each of the four places in a cell: (n, windows, places, h, w).
        weights = weights.unflatten(1, (_WINDOW**2, _SCALE**2)).softmax(1)
        height, width = x.shape[2:]
        padded = F.pad(x, [_WINDOW // 2] * 4)
        total = 0.0
        for k in range(_WINDOW**2):
            i, j = divmod(k, _WINDOW)
            total = total + padded[:, :, None, i : i + height, j : j + width] * weights[:, None, k]
        assert isinstance(total, Tensor)
        return F.pixel_shuffle(total.flatten(1, 2), _SCALE)


class CarafePyramid(nn.Module):
    """Backbone levels to `levels` pyramid levels of equal width, from the coarsest down.

    Shapes: (n, in_channels[i], h, w) each to (n, channels, h, w). The extra level halves the size of the last one.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, *, narrow: int = 64) -> None:
        super().__init__()
        laterals = [ConvNorm(c, channels, 1, relu=False) for c in in_channels]
        laterals.append(ConvNorm(in_channels[-1], channels, 3, stride=2, relu=False))
        self.lateral_convs = nn.ModuleList(laterals)
        self.fpn_convs = nn.ModuleList(ConvNorm(channels, channels, 3, relu=False) for _ in laterals)
        self.upsample_modules = nn.ModuleList(Carafe(channels, narrow) for _ in in_channels)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        merged = [conv(x) for conv, x in zip(self.lateral_convs, [*levels, levels[-1]], strict=True)]
        for i in range(len(merged) - 1, 0, -1):
            height, width = merged[i - 1].shape[2:]
            merged[i - 1] = merged[i - 1] + self.upsample_modules[i - 1](merged[i])[:, :, :height, :width]
        return [conv(x) for conv, x in zip(self.fpn_convs, merged, strict=True)]
