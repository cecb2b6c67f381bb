"""VGG-16 as SSD uses it (Liu et al., "SSD: Single Shot MultiBox Detector", arXiv 1512.02325, section 2.2): its fully
connected layers are convolutions, the first one dilated."""

from collections.abc import Sequence

from torch import Tensor, nn

from ..config.parts import Trunk
from ..config.section import Section

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
    """Image to the levels after the layers `outputs`, counted with their ReLU and pooling.

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


def from_config(section: Section) -> Trunk:
    """OpenMMLab's SSDVGG."""
    section.fixed(depth=16, with_last_pool=False, ceil_mode=True, out_feature_indices=(22, 34))
    section.training("out_indices", "input_size", "l2_norm_scale")  # without effect in SSD
    return Trunk(VGG, (0, 1), (8, 16))
