"""SCNet (Liu et al., "Improving Convolutional Networks with Self-Calibrated Convolutions", CVPR 2020)."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config.parts import Trunk
from ..config.section import Section
from . import resnet
from .resnet import Bottleneck, ResNet

_POOLED = 4


def _convolution(channels: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(channels, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)


class SelfCalibrated(nn.Module):
    """A 3x3 convolution that a coarse view of its input gates, then another (figure 2).

    Shapes: (n, channels, h, w), h and w at least 4, to the same divided by `stride`.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.k2 = nn.Sequential(nn.AvgPool2d(_POOLED), *_convolution(channels))
        self.k3 = nn.Sequential(*_convolution(channels))
        self.k4 = nn.Sequential(*_convolution(channels, stride), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(x + F.interpolate(self.k2(x), x.shape[2:]))
        return self.k4(self.k3(x) * gate)


class SCBottleneck(Bottleneck):
    """A bottleneck in two halves, one of which is self-calibrated. It ignores styles, groups and deformation."""

    def __init__(self, in_channels: int, width: int, stride: int, *options: Any) -> None:
        super().__init__(in_channels, width, stride, *options)
        half = width // 2
        self.conv1, self.bn1 = nn.Conv2d(in_channels, half, 1, bias=False), nn.BatchNorm2d(half)
        self.k1 = nn.Sequential(*_convolution(half, stride), nn.ReLU())
        self.conv2, self.bn2 = nn.Conv2d(in_channels, half, 1, bias=False), nn.BatchNorm2d(half)
        self.scconv = SelfCalibrated(half, stride)

    def residual(self, x: Tensor) -> Tensor:
        plain = self.k1(torch.relu(self.bn1(self.conv1(x))))
        calibrated = self.scconv(torch.relu(self.bn2(self.conv2(x))))
        return self.bn3(self.conv3(torch.cat((plain, calibrated), 1)))


SC50, SC101 = (partial(ResNet, depth, block=SCBottleneck) for depth in (50, 101))


def from_config(section: Section) -> Trunk:
    """OpenMMLab's SCNet."""
    section.training("style")
    section.fixed(dcn=None)
    return resnet.from_config(section, depths=(50, 101), block=SCBottleneck)
