"""SENet (Hu et al., "Squeeze-and-Excitation Networks", arXiv 1709.01507) on ResNet."""

from functools import partial
from typing import Any

from torch import Tensor

from ..blocks import SqueezeExcite
from ..config.parts import Trunk
from ..config.section import Section
from . import resnet
from .resnet import Bottleneck, ResNet

_RATIO = 16


class SEBottleneck(Bottleneck):
    """A bottleneck whose residual is squeezed `ratio` times and excited (figure 3)."""

    def __init__(self, in_channels: int, width: int, *options: Any, ratio: int = _RATIO) -> None:
        super().__init__(in_channels, width, *options)
        channels = self.expansion * width
        self.se_layer = SqueezeExcite(channels, channels // ratio)

    def residual(self, x: Tensor) -> Tensor:
        return self.se_layer(super().residual(x))


SE50, SE101, SE152 = (partial(ResNet, depth, block=SEBottleneck) for depth in (50, 101, 152))


def from_config(section: Section) -> Trunk:
    """OpenMMLab's SEResNet."""
    ratio = section.integer("se_ratio", _RATIO)
    return resnet.from_config(section, depths=(50, 101, 152), block=partial(SEBottleneck, ratio=ratio))
