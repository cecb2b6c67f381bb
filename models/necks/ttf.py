"""The upsampling of TTFNet (Liu et al., "Training-Time-Friendly Network for Real-Time Object Detection", arXiv
1909.00700, section 3.1)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ...plugins.deform_conv.op import DeformConv


class TTFNeck(nn.Module):
    """Backbone levels C2 to C5 to one map at stride 4.

    Shapes: (n, in_channels[i], h, w) each to (n, channels[-1], h of C2, w of C2): three times a deformable convolution,
    twice the size, and the next finer level, through 1, 2 and 3 convolutions.
    """

    def __init__(self, in_channels: Sequence[int], channels: Sequence[int] = (256, 128, 64)) -> None:
        super().__init__()
        sources = [in_channels[-1], *channels]
        self.deconv_layers = nn.ModuleList(
            nn.Sequential(DeformConv(c, out, 3, 1, 1, modulated=True), nn.BatchNorm2d(out), nn.ReLU())
            for c, out in zip(sources, channels, strict=False)
        )
        self.shortcut_layers = nn.ModuleList(
            Shortcut(c, out, depth) for depth, (c, out) in enumerate(zip(in_channels[-2::-1], channels, strict=True), 1)
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        x = levels[-1]
        for up, shortcut, finer in zip(self.deconv_layers, self.shortcut_layers, levels[-2::-1], strict=True):
            x = F.interpolate(up(x), scale_factor=2.0, mode="bilinear", align_corners=True) + shortcut(finer)
        return x


class Shortcut(nn.Module):
    """3x3 convolutions with ReLU between them: (n, in_channels, h, w) to (n, channels, h, w)."""

    def __init__(self, in_channels: int, channels: int, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(in_channels, channels, 3, padding=1)]
        for _ in range(depth - 1):
            layers += [nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
