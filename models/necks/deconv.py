"""The upsampling of CenterNet (Zhou et al., arXiv 1904.07850, section 5): from the coarsest level to stride 4."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ..blocks import ConvNorm
from ..config.parts import Neck, Trunk
from ..config.section import Section


class Upsample(nn.Module):
    """A transposed convolution that doubles the size, normalisation, ReLU: (n, c, h, w) to (n, c, 2h, 2w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, channels, 4, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        nn.init.normal_(self.conv.weight, std=(2 * channels) ** -0.5)  # Each pixel sums four taps per channel.

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


def doubling(in_channels: int, out_channels: int, kernel: int = 4, groups: int = 1) -> nn.ConvTranspose2d:
    """A transposed convolution of 2, 3 or 4 px that doubles the size: (n, c, h, w) to (n, c', 2h, 2w)."""
    padding, beyond = {4: (1, 0), 3: (1, 1), 2: (0, 0)}[kernel]
    up = nn.ConvTranspose2d(in_channels, out_channels, kernel, 2, padding, beyond, groups, bias=False)
    nn.init.normal_(up.weight, std=(2 * in_channels / groups) ** -0.5)  # Each pixel sums four taps per channel.
    return up


def doublings(
    in_channels: int, widths: Sequence[int], kernels: Sequence[int], groups: Sequence[int] | None = None
) -> nn.Sequential:
    """One `doubling` of each width, kernel and number of groups, 1 if None; each is followed by a norm and ReLU."""
    layers: list[nn.Module] = []
    for width, kernel, count in zip(widths, kernels, groups or (1,) * len(widths), strict=True):
        layers += [doubling(in_channels, width, kernel, count), nn.BatchNorm2d(width), nn.ReLU()]
        in_channels = width
    return nn.Sequential(*layers)


class PlainDeconvNeck(nn.Module):
    """The backbone's last level, enlarged twofold for each of `channels`: (n, in_channels, h, w) to the last of them.

    As in SimpleBaseline (Xiao et al., arXiv 1804.06208, section 2).
    """

    def __init__(self, in_channels: int, channels: Sequence[int] = (256, 256, 256)) -> None:
        super().__init__()
        self.deconv_layers = doublings(in_channels, channels, (4,) * len(channels))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        return self.deconv_layers(levels[-1])


class DeconvNeck(nn.Module):
    """The backbone's last level, upsampled in steps of a 3x3 convolution and a twofold upsampling.

    Shapes: (n, in_channels, h, w) to (n, channels[-1], h * 2^s, w * 2^s) in s steps. The 3x3 convolutions may be
    `deformable`, and have a bias before their normalisation in the authors' checkpoints.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int] = (256, 128, 64),
        *,
        deformable: bool = False,
        bias: bool = False,
    ) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for width in channels:
            steps.append(ConvNorm(in_channels, width, 3, norm="bn", bias=bias, deformable=deformable))
            steps.append(Upsample(width))
            in_channels = width
        self.deconv_layers = nn.Sequential(*steps)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        return self.deconv_layers(levels[-1])


def from_config(section: Section, trunk: Trunk) -> Neck:
    """OpenMMLab's CTResNetNeck on the backbone's last level."""
    section.same("in_channels", trunk.channels[-1], section.integer("in_channel", 0, least=0))  # its name in 2.x
    names = ("num_deconv_filters", "num_deconv_kernels")
    channels = section.integers(names[0])
    section.same(names[1], (4,) * len(channels))
    if trunk.strides[-1] >> len(channels) != _STRIDE:
        section.refuse(names[0], f"as many as lead from stride {trunk.strides[-1]} to {_STRIDE}")
    network = partial(DeconvNeck, trunk.channels[-1], channels, deformable=section.flag("use_dcn", True))
    return Neck(network, trunk.levels, channels[-1], (_STRIDE,))


_STRIDE = 4
