"""SSD's extra levels (Liu et al., "SSD: Single Shot MultiBox Detector", arXiv 1512.02325, section 2.1), and with
separable convolutions SSDLite's (Sandler et al., arXiv 1801.04381, section 6.2)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvAct, ConvNorm, Norm
from ..config.norms import normed, read_norm
from ..config.parts import Neck, Trunk
from ..config.section import Section
from ..config.trunks import check_activation

_conv = partial(ConvAct, activation=F.relu6)


class SSDNeck(nn.Module):
    """Two backbone levels to those and one more for each of `channels`.

    Shapes: (n, in_channels[i], h, w) each to (n, channels[i], h', w'). A level comes from the last one by a 1x1 and a
    convolution of the given kernel, stride and padding in `steps`. The first level is normalised along its channels
    but for `lite` ones, which have batch norms and separable convolutions.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: Sequence[int],
        steps: Sequence[tuple[int, int, int]],
        *,
        lite: bool = False,
    ) -> None:
        super().__init__()
        self.channels = (*in_channels, *channels)
        self.l2_norm = nn.Identity() if lite else L2Norm(in_channels[0])
        layer = _separable if lite else _plain
        last = self.channels[len(in_channels) - 1 :]
        self.extra_layers = nn.ModuleList(
            layer(source, out, *step) for source, out, step in zip(last, channels, steps, strict=False)
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        outputs = [self.l2_norm(levels[0]), *levels[1:]]
        for layer in self.extra_layers:
            outputs.append(layer(outputs[-1]))
        return outputs


class L2Norm(nn.Module):
    """Every cell's values over their length, times a learned factor a channel (Liu et al., arXiv 1506.04579)."""

    def __init__(self, channels: int, scale: float = 20.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        # Half precision has no room for a sum of squares.
        long = x.float()
        # A sum with so little would be taken for one with nothing, by what simplifies exported graphs.
        length = long.square().sum(1, keepdim=True).sqrt().clamp(min=_SHORTEST)
        return (self.weight.float()[:, None, None] * long / length).to(x.dtype)


_SHORTEST = 1e-10


def _plain(in_channels: int, channels: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    second = ConvNorm(channels // 2, channels, kernel, stride=stride)
    second.conv.padding = (padding, padding)
    return nn.Sequential(ConvNorm(in_channels, channels // 2, 1), second)


def _separable(in_channels: int, channels: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    half = channels // 2
    second = nn.Sequential()
    second.add_module("depthwise_conv", _conv(half, half, kernel, stride=stride, groups=half))
    second.add_module("pointwise_conv", _conv(half, channels, 1))
    return nn.Sequential(_conv(in_channels, half, 1), second)


def from_config(section: Section, trunk: Trunk) -> Neck:
    """OpenMMLab's SSDNeck, either plain or with separable convolutions and batch norms."""
    count = len(trunk.levels)
    section.same("in_channels", trunk.channels)
    section.fixed(conv_cfg=None)
    lite = section.flag("use_depthwise", False)
    norm = check_lite(section, lite)
    if section.is_none("l2_norm_scale") != lite:
        section.refuse("l2_norm_scale", "None with use_depthwise, a number without")
    strides = section.integers("level_strides")
    paddings = section.integers("level_paddings", count=len(strides))
    channels = section.integers("out_channels", count=count + len(strides))
    section.same("out_channels", (*trunk.channels, *channels[count:]))
    kernels = (*(3 for _ in strides[1:]), section.integer("last_kernel_size", 3, most=7))
    steps = tuple(zip(kernels, strides, paddings, strict=True))
    network = partial(SSDNeck, trunk.channels, channels[count:], steps, lite=lite)
    # What the strides of its levels are says the head, since unpadded convolutions cut borders off.
    return Neck(normed(network, norm), trunk.levels, channels, trunk.strides)


def check_lite(section: Section, lite: bool) -> Norm | None:
    """Check the norm and the activation of plain and of separable layers, and return the norm of the latter."""
    check_activation(section, "ReLU6" if lite else "ReLU")
    if lite and "act_cfg" not in section:
        section.refuse("act_cfg", "a ReLU6")
    norm = read_norm(section, None)
    if (norm is not None) != lite or (norm and norm.kind != "bn"):
        section.refuse("norm_cfg", "BN or SyncBN with use_depthwise, None without")
    return norm
