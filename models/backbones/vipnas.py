"""The backbones of ViPNAS (Xu et al., "ViPNAS: Efficient Video Pose Estimation via Neural Architecture Search", arXiv
2105.10154)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import Activation, ConvAct, ConvNorm, SqueezeExcite
from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section

_STAGES = ((80, 4, 3, True), (160, 6, 5, False), (304, 7, 5, True), (608, 3, 5, True))
"""Channels, blocks, kernel and attention of each stage that was found on ResNet-50."""
_STEM, _GROUPS = 48, 16

_LAYERS = (
    (16, 1, 1, 3, 8, True, 1, F.relu),
    (24, 4, 5, 7, 120, True, 2, F.relu),
    (40, 4, 4, 7, 20, False, 2, F.relu),
    (80, 4, 5, 5, 100, True, 2, F.hardswish),
    (112, 4, 5, 7, 280, True, 1, F.hardswish),
    (160, 4, 6, 5, 240, True, 2, F.hardswish),
)
"""Channels, blocks, expansion, kernel, groups, excitation, stride and activation of each on MobileNetV3."""


class ContextBlock(nn.Module):
    """What the image holds, weighted by one softmax over all pixels, is added to each (GCNet, arXiv 1904.11492)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = int(channels * max(1 / 16, 16 / channels))
        self.conv_mask = nn.Conv2d(channels, 1, 1)
        self.channel_add_conv = nn.Sequential(
            nn.Conv2d(channels, narrow, 1), nn.LayerNorm([narrow, 1, 1]), nn.ReLU(), nn.Conv2d(narrow, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        weights = self.conv_mask(x).flatten(2).softmax(2)
        context = torch.matmul(x.flatten(2), weights.transpose(1, 2))[..., None]
        return x + self.channel_add_conv(context)


class Bottleneck(nn.Module):
    """A bottleneck as wide inside as outside, of grouped convolutions, maybe with context."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int, groups: int, context: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.attention = ContextBlock(channels) if context else nn.Identity()
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or in_channels != channels:
            shortcut = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        return torch.relu(self.attention(self.bn3(self.conv3(out))) + self.downsample(x))


Stage = tuple[int, int, int, bool]


class ViPNASResNet(nn.Module):
    """Image to four levels at strides 4, 8, 16, 32: (n, 3, h, w) to (n, channels[i], h / stride, w / stride)."""

    def __init__(self, stages: Sequence[Stage] = _STAGES, *, stem: int = _STEM, groups: int = _GROUPS) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        in_channels = stem
        for i, (channels, count, kernel, context) in enumerate(stages):
            blocks: list[nn.Module] = []
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(Bottleneck(in_channels, channels, kernel, stride, groups, context))
                in_channels = channels
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.channels = tuple(channels for channels, *_ in stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = F.max_pool2d(torch.relu(self.bn1(self.conv1(image))), 3, 2, 1)
        levels: list[Tensor] = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            levels.append(x)
        return levels


def _gate(x: Tensor) -> Tensor:
    """The old form of the hard sigmoid."""
    return ((x + 1) / 2).clamp(0, 1)


class InvertedResidual(nn.Module):
    """A widening 1x1, a grouped and a narrowing 1x1 convolution, with a shortcut if shapes allow."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        expansion: int,
        kernel: int,
        stride: int,
        groups: int,
        excite: bool,
        activation: Activation,
    ) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand_conv = ConvAct(in_channels, wide, 1, activation=activation) if expansion > 1 else nn.Identity()
        self.depthwise_conv = ConvAct(wide, wide, kernel, stride=stride, groups=groups, activation=activation)
        self.se = SqueezeExcite(wide, wide // 4, gate=_gate) if excite else nn.Identity()
        self.linear_conv = ConvNorm(wide, channels, 1, norm="bn", relu=False)
        self.shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        out = self.linear_conv(self.se(self.depthwise_conv(self.expand_conv(x))))
        return x + out if self.shortcut else out


class ViPNASMobileNetV3(nn.Module):
    """Image to one level at stride 32: (n, 3, h, w) to (n, 160, ceil(h / 32), ceil(w / 32))."""

    def __init__(self) -> None:
        super().__init__()
        in_channels = 16
        self.conv1 = ConvAct(3, in_channels, 3, stride=2, activation=F.hardswish)
        number = 0
        for channels, count, expansion, kernel, groups, excite, stride, activation in _LAYERS:
            for j in range(count):
                number += 1
                steps = stride if j == 0 else 1
                block = InvertedResidual(in_channels, channels, expansion, kernel, steps, groups, excite, activation)
                setattr(self, f"layer{number}", block)
                in_channels = channels
        self.channels = (in_channels,)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image
        for layer in self.children():
            x = layer(x)
        return [x]


def resnet_from_config(section: Section) -> Trunk:
    """OpenMMLab's ViPNAS_ResNet, as it was found."""
    section.same("depth", 50)
    widths, counts, kernels, attention = zip(*_STAGES, strict=True)
    section.fixed(in_channels=3, num_stages=4, strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1), out_indices=(3,))
    section.fixed(style="pytorch", deep_stem=False, avg_down=False, conv_cfg=None)
    section.fixed(wid=(_STEM, *widths), expan=(None, 1, 1, 1, 1), dep=(None, *counts), ks=(7, *kernels))
    section.fixed(group=(None, *(_GROUPS,) * 4), att=(None, *attention))
    return Trunk(normed(ViPNASResNet, batch_norm(section)), (3,), (32,))


def mobilenet_from_config(section: Section) -> Trunk:
    """OpenMMLab's ViPNAS_MobileNetV3, as it was found."""
    section.fixed(wid=(16, 16, 24, 40, 80, 112, 160), expan=(None, 1, 5, 4, 5, 5, 6), dep=(None, 1, 4, 4, 4, 4, 4))
    section.fixed(ks=(3, 3, 7, 7, 5, 7, 5), group=(None, 8, 120, 20, 100, 280, 240), stride=(2, 1, 2, 2, 2, 1, 2))
    section.fixed(att=(None, True, True, False, True, True, True), conv_cfg=None)
    section.fixed(act=("HSwish", "ReLU", "ReLU", "ReLU", "HSwish", "HSwish", "HSwish"))
    return Trunk(normed(ViPNASMobileNetV3, batch_norm(section)), (0,), (32,))
