"""MobileNetV2 (Sandler et al., "Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381)."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm
from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section

_LAYERS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks and the first block's stride (table 2)."""


class ConvReLU6(ConvNorm):
    """Convolution, batch norm, and a ReLU that ends at 6."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride=stride, norm="bn", relu=False, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(super().forward(x))


class InvertedResidual(nn.Module):
    """A widening 1x1, a depthwise 3x3 and a narrowing 1x1 convolution, with a shortcut if shapes allow (figure 3b)."""

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.conv = nn.Sequential(
            *([ConvReLU6(in_channels, wide, 1)] if expansion > 1 else []),
            ConvReLU6(wide, wide, 3, stride=stride, groups=wide),
            ConvNorm(wide, channels, 1, norm="bn", relu=False),
        )
        self.shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    """Image to the level at stride 32, in a list of one: (n, 3, h, w) to (n, 1280, ceil(h / 32), ceil(w / 32))."""

    channels = (1280,)

    def __init__(self) -> None:
        super().__init__()
        in_channels = 32
        self.conv1 = ConvReLU6(3, in_channels, 3, stride=2)
        for i, (expansion, channels, blocks, stride) in enumerate(_LAYERS, 1):
            layer: list[nn.Module] = []
            for j in range(blocks):
                layer.append(InvertedResidual(in_channels, channels, stride if j == 0 else 1, expansion))
                in_channels = channels
            setattr(self, f"layer{i}", nn.Sequential(*layer))
        self.conv2 = ConvReLU6(in_channels, self.channels[-1], 1)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image
        for layer in self.children():
            x = layer(x)
        return [x]


def from_config(section: Section) -> Trunk:
    """OpenMMLab's MobileNetV2 with its last level alone."""
    section.fixed(widen_factor=1.0, out_indices=(7,), conv_cfg=None)
    if activation := section.section("act_cfg"):
        activation.typed("ReLU6")
        activation.training("inplace")
    return Trunk(normed(MobileNetV2, batch_norm(section)), (-1,), (32,))
