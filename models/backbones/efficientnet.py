"""EfficientNet (Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", arXiv
1905.11946)."""

import math
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm, SqueezeExcite, eighths
from ..config.parts import Trunk
from ..config.section import Section
from ..config.trunks import check_activation, read_stages

_STAGES = (
    ((3, 16, 1, 1, 1),),
    ((3, 24, 2, 6, 2),),
    ((5, 40, 2, 6, 2),),
    ((3, 80, 2, 6, 3), (5, 112, 1, 6, 3)),
    ((5, 192, 2, 6, 4), (3, 320, 1, 6, 1)),
)
"""Kernel, channels, stride, expansion and blocks (table 1), stages of one stride together."""
_NORM_EPS = 1e-3


class ConvSwish(ConvNorm):
    """Convolution, batch norm and maybe x * sigmoid(x); an even side is padded at its end first, as in TensorFlow."""

    def __init__(
        self, in_channels: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1, swish: bool = True
    ) -> None:
        super().__init__(in_channels, channels, kernel, stride=stride, norm="bn", relu=False, groups=groups)
        self.bn.eps, self.swish = _NORM_EPS, swish
        self.ends = ((kernel - 2) // 2, (kernel - 1) // 2) * 2
        if stride > 1:
            self.conv.padding = (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(F.pad(x, self.ends) if self.conv.stride[0] > 1 else x)
        return F.silu(x) if self.swish else x


class MBConv(nn.Module):
    """An inverted residual with squeeze and excitation: (n, in_channels, h, w) to (n, channels, h / s, w / s)."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.expand_conv = ConvSwish(in_channels, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise_conv = ConvSwish(wide, wide, kernel, stride=stride, groups=wide)
        self.se = SqueezeExcite(wide, in_channels // 4, F.silu)
        self.linear_conv = ConvSwish(wide, channels, 1, swish=False)
        self.shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        out = self.linear_conv(self.se(self.depthwise_conv(self.expand_conv(x))))
        return x + out if self.shortcut else out


class EfficientNet(nn.Module):
    """Image to four levels at strides 4, 8, 16, 32, without the last 1x1 convolution.

    Shapes: (n, 3, h, w), h and w multiples of 32, to four (n, channels[i], h / stride, w / stride). `wide` and `deep`
    are factors of the smallest network's channels and blocks.
    """

    def __init__(self, *, wide: float = 1.0, deep: float = 1.0) -> None:
        super().__init__()
        in_channels = eighths(32 * wide)
        layers: list[nn.Module] = [ConvSwish(3, in_channels, 3, stride=2)]
        widths: list[int] = []
        for stage in _STAGES:
            blocks: list[nn.Module] = []
            for kernel, channels, stride, expansion, count in stage:
                for i in range(math.ceil(count * deep)):
                    width = eighths(channels * wide)
                    blocks.append(MBConv(in_channels, width, kernel, stride if i == 0 else 1, expansion))
                    in_channels = width
            layers.append(nn.Sequential(*blocks))
            widths.append(in_channels)
        self.layers = nn.ModuleList(layers)
        self.channels = tuple(widths[1:])

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.layers[0](image)
        levels: list[Tensor] = []
        for layer in self.layers[1:]:
            x = layer(x)
            levels.append(x)
        return levels[1:]


_SIZES = {"b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4), "b4": (1.4, 1.8), "b5": (1.6, 2.2)}
_SIZES |= {"b6": (1.8, 2.6), "b7": (2.0, 3.1)}
"""The factors of channels and of blocks."""


def _sized(size: str) -> partial[EfficientNet]:
    wide, deep = _SIZES[size]
    return partial(EfficientNet, wide=wide, deep=deep)


B3 = _sized("b3")
TINY_EFFICIENTNET = partial(EfficientNet, wide=0.25, deep=0.25)


def from_config(section: Section) -> Trunk:
    """OpenMMLab's EfficientNet without its last layer."""
    network = section.choice("arch", {size: _sized(size) for size in _SIZES}, "b0")
    stages = read_stages(section, (6,), (2, 3, 4, 5))
    section.training("drop_path_rate")
    if convolution := section.section("conv_cfg"):
        convolution.typed("Conv2dAdaptivePadding")
    check_activation(section, "Swish", "SiLU")
    if norm := section.section("norm_cfg"):
        norm.typed("BN", "SyncBN")
        norm.training("requires_grad", "momentum")
        norm.same("eps", _NORM_EPS)
    return Trunk(network, tuple(stage - 2 for stage in stages), tuple(1 << stage for stage in stages))
