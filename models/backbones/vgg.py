"""VGG (Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv 1409.1556):
with batch norms, and VGG-16 as SSD uses it (Liu et al., "SSD: Single Shot MultiBox Detector", arXiv 1512.02325, section
2.2), whose fully connected layers are convolutions, the first one dilated."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from ..blocks import ConvNorm
from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section
from ..config.trunks import check_activation, read_stages

_COUNTS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions between two poolings by the depth (table 1)."""
_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def plain_layers(widths: Sequence[int]) -> nn.Sequential:
    """3x3 convolutions with these numbers of channels, each with a ReLU; a pooling by two for each 0."""
    layers: list[nn.Module] = []
    in_channels = 3
    for width in widths:
        if width:
            layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU()]
            in_channels = width
        else:
            layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """VGG-16 of SSD: image to the levels after the layers `outputs`, counted with their ReLU and pooling.

    Shapes: (n, 3, h, w) to (n, channels[i], h', w'). 22 is conv4_3 at stride 8, 29 conv5_3 at stride 16, and 34 the
    last one, at stride 16, or at 32 where the fifth pooling halves the size (`halved`, RefineDet). Layers have
    1 / `narrow` of the channels.
    """

    def __init__(self, outputs: Sequence[int] = (22, 34), *, halved: bool = False, narrow: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        in_channels = 3
        for i, widths in enumerate(_WIDTHS):
            for width in widths:
                layers += [nn.Conv2d(in_channels, width // narrow, 3, padding=1), nn.ReLU()]
                in_channels = width // narrow
            # Only the third pooling meets an odd side, of images of 300 px.
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=True) if i < 4 or halved else nn.MaxPool2d(3, 1, 1))
        gap, wide = (3 if halved else 6), 1024 // narrow
        layers += [nn.Conv2d(in_channels, wide, 3, padding=gap, dilation=gap), nn.ReLU()]
        layers += [nn.Conv2d(wide, wide, 1), nn.ReLU()]
        self.features, self.outputs = nn.Sequential(*layers), tuple(outputs)
        self.channels = tuple(wide if i > 30 else in_channels for i in outputs)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image
        levels: list[Tensor] = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.outputs:
                levels.append(x)
        return levels


class BatchNormVGG(nn.Module):
    """VGG with batch norms (Simonyan and Zisserman, arXiv 1409.1556): image to the levels after the poolings `stages`,
    counted from 0.

    Shapes: (n, 3, h, w) to (n, channels[i], h / stride, w / stride), rounded down; pooling i is at stride 2 << i.
    `depth` is 11, 13, 16 or 19. Layers have 1 / `narrow` of the channels.
    """

    def __init__(self, depth: int = 16, stages: Sequence[int] = (4,), *, narrow: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        in_channels, ends, widths = 3, [], (64, 128, 256, 512, 512)
        for width, count in zip(widths, _COUNTS[depth], strict=True):
            for _ in range(count):
                layers.append(ConvNorm(in_channels, width // narrow, 3, norm="bn", bias=True))
                in_channels = width // narrow
            layers.append(nn.MaxPool2d(2))
            ends.append(len(layers) - 1)
        self.features, self.outputs = nn.Sequential(*layers), [ends[i] for i in stages]
        self.channels = tuple(widths[i] // narrow for i in stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image
        levels: list[Tensor] = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.outputs:
                levels.append(x)
        return levels


def from_config(section: Section) -> Trunk:
    """OpenMMLab's SSDVGG."""
    section.fixed(depth=16, with_last_pool=False, ceil_mode=True, out_feature_indices=(22, 34))
    section.training("out_indices", "input_size", "l2_norm_scale")  # without effect in SSD
    return Trunk(VGG, (0, 1), (8, 16))


def plain_from_config(section: Section) -> Trunk:
    """OpenMMLab's VGG, with batch norms."""
    section.fixed(num_classes=-1, num_stages=5, dilations=(1,) * 5, ceil_mode=False, with_last_pool=True, conv_cfg=None)
    check_activation(section, "ReLU")
    stages = (4,) if section.is_none("out_indices") else read_stages(section, (4,), range(5))
    if section.section("norm_cfg") is None:
        section.refuse("norm_cfg", "BN or SyncBN")
    network = partial(BatchNormVGG, section.choice("depth", {depth: depth for depth in _COUNTS}), stages)
    return Trunk(normed(network, batch_norm(section)), tuple(range(len(stages))), tuple(2 << i for i in stages))
