"""MobileNetV2 (Sandler et al., "Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381)."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import Activation, ConvAct, ConvNorm, Norm, eighths, renorm
from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section
from ..config.trunks import read_activation, read_stages

_LAYERS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks and the first block's stride (table 2)."""
_LAST = 1280


class InvertedResidual(nn.Module):
    """A widening 1x1, a depthwise 3x3 and a narrowing 1x1 convolution, with a shortcut if shapes allow (figure 3b)."""

    def __init__(
        self, in_channels: int, channels: int, stride: int, expansion: int, activation: Activation = F.relu6
    ) -> None:
        super().__init__()
        wide = in_channels * expansion
        layer = partial(ConvAct, activation=activation)
        self.conv = nn.Sequential(
            *([layer(in_channels, wide, 1)] if expansion > 1 else []),
            layer(wide, wide, 3, stride=stride, groups=wide),
            ConvNorm(wide, channels, 1, norm="bn", relu=False),
        )
        self.shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    """Image to the levels after the layers `outputs`, of which the eighth is the last, at stride 32.

    Shapes: (n, 3, h, w) to (n, channels[i], ceil(h / stride), ceil(w / stride)); layer 3 is at stride 8, 5 at 16, 7 at
    32. `wide` is a factor of all channels, of the last layer's only above 1.
    """

    def __init__(
        self,
        outputs: Sequence[int] = (8,),
        *,
        activation: Activation = F.relu6,
        norm_eps: float = 1e-5,
        wide: float = 1.0,
    ) -> None:
        super().__init__()
        in_channels = eighths(32 * wide)
        self.conv1 = ConvAct(3, in_channels, 3, stride=2, activation=activation)
        widths: list[int] = []
        for i, (expansion, channels, blocks, stride) in enumerate(_LAYERS, 1):
            layer: list[nn.Module] = []
            for j in range(blocks):
                width = eighths(channels * wide)
                layer.append(InvertedResidual(in_channels, width, stride if j == 0 else 1, expansion, activation))
                in_channels = width
            widths.append(in_channels)
            setattr(self, f"layer{i}", nn.Sequential(*layer))
        last = eighths(_LAST * max(wide, 1.0))
        self.conv2 = ConvAct(in_channels, last, 1, activation=activation)
        renorm(self, Norm("bn", norm_eps))
        self.outputs = tuple(outputs)
        self.channels = tuple([*widths, last][i - 1] for i in outputs)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image
        levels: list[Tensor] = []
        for i, layer in enumerate(self.children()):
            x = layer(x)
            if i in self.outputs:
                levels.append(x)
        return levels


def from_config(section: Section) -> Trunk:
    """OpenMMLab's MobileNetV2."""
    section.fixed(conv_cfg=None)
    in_mmpose = section.text("_scope_", "mmdet") == "mmpose"
    layers = read_stages(section, (7,) if in_mmpose else (1, 2, 4, 7), range(8))
    network = partial(
        MobileNetV2,
        tuple(layer + 1 for layer in layers),
        activation=read_activation(section, _ACTIVATIONS, "ReLU6"),
        wide=section.factor("widen_factor"),
    )
    strides = tuple(_STRIDES[layer] for layer in layers)
    build = normed(network, batch_norm(section))
    return Trunk(build, tuple(range(len(layers))), strides, {} if in_mmpose else MMDET)


_STRIDES = (2, 4, 8, 16, 16, 32, 32, 32)
_ACTIVATIONS: dict[str, Callable[[Section], Activation]] = {
    "ReLU6": lambda _: F.relu6,
    "LeakyReLU": lambda section: partial(F.leaky_relu, negative_slope=section.number("negative_slope", 0.01)),
}


MMDET = {
    "^backbone.layer1.0.depthwise_conv.": "backbone.layer1.0.conv.0.",
    "^backbone.layer1.0.linear_conv.": "backbone.layer1.0.conv.1.",
    ".expand_conv.": ".conv.0.",
    **{
        f"^backbone.layer{i}.{k}.depthwise_conv.": f"backbone.layer{i}.{k}.conv.1."
        for i in range(2, 8)
        for k in range(4)
    },
    ".linear_conv.": ".conv.2.",
}
"""For `Variant.mapping`: mmdet names the parts of a block."""
