"""The head of MSPN (arXiv 1901.00148) and RSN (arXiv 2003.04030)."""

from collections.abc import Sequence

from torch import Tensor, nn

from ..blocks import ConvNorm


class PoseRefine(nn.Module):
    """RSN's pose refine machine: a map weighed by channel and by place.

    x = 3x3(map), out = x * (1 + a(x) * b(x)), where a is two 1x1 convolutions of the channels' means, b a 1x1 and a
    depthwise 9x9 convolution, and both end in a sigmoid. Each convolution has a norm and a ReLU after it. Shapes: (n,
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
    """The last of the backbone's maps, which `refine` weighs first, to `heatmaps` (n, keypoints, h, w) of 0 to 255.

    In training the maps of earlier units and stages have such layers too.
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
