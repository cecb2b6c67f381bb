"""ResNet with poly-scale convolutions (Li et al., "PSConv: Squeezing Feature Pyramid into One Compact Poly-Scale
Convolutional Layer", arXiv 2007.06191)."""

from torch import Tensor, nn

from .resnet import Bottleneck, ResNet

_PARTS = 4  # the dilations 1, 2, 1 and 4 alternate over the channels


class PSConv(nn.Module):
    """3x3 convolutions whose dilation changes from channel to channel, as a sum of three (section 3.2).

    Shapes: (n, channels, h, w) to (n, channels, h / stride, w / stride). The undilated weights have their zeros as
    stored.
    """

    def __init__(self, channels: int, stride: int, groups: int) -> None:
        super().__init__()
        self.groups = groups

        def layer(dilation: int, parts: int) -> nn.Conv2d:
            return nn.Conv2d(channels, channels, 3, stride, dilation, dilation, groups=groups * parts, bias=False)

        self.gwconv, self.gwconv_shift, self.conv = layer(2, _PARTS), layer(4, _PARTS), layer(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        shifted = x.unflatten(1, (self.groups, 2, -1)).flip(2).flatten(1, 3)
        return self.conv(x) + self.gwconv(x) + self.gwconv_shift(shifted)


def poly_scale(backbone: ResNet) -> ResNet:
    """The network with poly-scale convolutions in all bottlenecks."""
    for block in backbone.modules():
        if isinstance(block, Bottleneck):
            plain = block.conv2
            block.conv2 = PSConv(plain.in_channels, plain.stride[0], plain.groups)
    return backbone
