"""The head of MSPN (arXiv 1901.00148) and RSN (arXiv 2003.04030)."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from ..blocks import ConvNorm
from ..config.codecs import read_codec
from ..config.norms import batch_norm, normed
from ..config.parts import Head, Trunk
from ..config.section import Section


class PoseRefine(nn.Module):
    """RSN's pose refine machine: a map weighted by channel and by position.

    x = 3x3(map), out = x * (1 + a(x) * b(x)), where a is two 1x1 convolutions of the channels' means, b a 1x1 and a
    depthwise 9x9 convolution, and both end in a sigmoid. A norm and a ReLU follow each convolution. Shapes: (n,
    channels, h, w) to the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_bn_relu_prm_1 = ConvNorm(channels, channels, 3, norm="bn")
        self.conv_bn_relu_prm_2_1 = ConvNorm(channels, channels, 1, norm="bn")
        self.conv_bn_relu_prm_2_2 = ConvNorm(channels, channels, 1, norm="bn")
        self.conv_bn_relu_prm_3_1 = ConvNorm(channels, channels, 1, norm="bn")
        self.conv_bn_relu_prm_3_2 = ConvNorm(channels, channels, 9, norm="bn", groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_bn_relu_prm_1(x)
        by_channel = self.conv_bn_relu_prm_2_2(self.conv_bn_relu_prm_2_1(x.mean((2, 3), keepdim=True)))
        by_place = self.conv_bn_relu_prm_3_2(self.conv_bn_relu_prm_3_1(x))
        return x * (1 + by_channel.sigmoid() * by_place.sigmoid())


class MSPNHead(nn.Module):
    """The backbone's last map, optionally weighted by `refine`, to `heatmaps` (n, keypoints, h, w) in 0..255.

    In training, the maps of earlier units and stages have such layers too.
    """

    def __init__(self, keypoints: int, channels: int, *, refine: bool = False) -> None:
        super().__init__()
        self.prm = PoseRefine(channels) if refine else nn.Identity()
        self.conv_layers = nn.Sequential(
            ConvNorm(channels, channels, 1, norm="bn"), ConvNorm(channels, keypoints, 3, norm="bn", relu=False)
        )

    def forward(self, stages: Sequence[Sequence[Tensor]]) -> Tensor:
        return self.conv_layers(self.prm(stages[-1][-1]))

    def decode(self, maps: Tensor) -> dict[str, Tensor]:
        return {"heatmaps": maps.float()}


def from_config(section: Section, trunk: Trunk) -> Head:
    """OpenMMLab's MSPNHead. A trained network needs only its last prediction."""
    codec = read_codec(section.section("decoder") or section.refuse("decoder", "a codec"))
    stages, height, width = section.integer("num_stages", 4, most=16), *codec.size
    section.same("out_shape", (height // 4, width // 4), (64, 48))
    section.same("unit_channels", trunk.channels[-1], 256)
    section.fixed(num_units=4)
    section.training("loss", "level_indices")
    build = partial(MSPNHead, channels=trunk.channels[-1], refine=section.flag("use_prm", False))
    last = 4 * stages - 1
    return Head(
        normed(build, batch_norm(section)),
        section.integer("out_channels", 17),
        "head.conv_layers.1.conv.weight",
        codec.form,
        size=codec.size,
        mapping={f"^head.predict_layers.{last}.": "head."},
        unused=tuple(f"head.predict_layers.{unit}." for unit in range(last)),
    )
