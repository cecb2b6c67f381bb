"""NAS-FPN (Ghiasi et al., "NAS-FPN: Learning Scalable Feature Pyramid Architecture", arXiv 1904.07392)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm
from ..config.norms import batch_norm, normed
from ..config.parts import Neck, Trunk
from ..config.section import Section
from ..pooling import adaptive_max

_CELLS = ("gp_64_4", "sum_44_4", "sum_43_3", "sum_34_4", "sum_55_5", "sum_77_7", "gp_75_6")
"""The merging cells with a convolution, each named after its two inputs and its output (figure 6)."""


class NASFPN(nn.Module):
    """Three backbone levels to five pyramid levels P3 to P7 of equal width, merged `repeats` times.

    Shapes: (n, in_channels[i], h, w) each to (n, channels, h, w); P6 and P7 halve the size and round down.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, *, repeats: int = 7) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(ConvNorm(c, channels, 1, norm="bn", relu=False) for c in in_channels)
        self.extra_downsamples = nn.ModuleList(
            nn.Sequential(ConvNorm(channels, channels, 1, norm="bn", relu=False), nn.MaxPool2d(2)) for _ in range(2)
        )
        self.fpn_stages = nn.ModuleList(
            nn.ModuleDict({name: Cell(channels) for name in _CELLS}) for _ in range(repeats)
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        maps = [conv(x) for conv, x in zip(self.lateral_convs, levels, strict=True)]
        for downsample in self.extra_downsamples:
            maps.append(downsample(maps[-1]))
        p3, p4, p5, p6, p7 = maps
        for cell in self.fpn_stages:
            middle = cell["sum_44_4"](cell["gp_64_4"](_attended(_resized(p6, p4, -2), p4)) + p4)
            p3 = cell["sum_43_3"](_resized(middle, p3, -1) + p3)
            p4 = cell["sum_34_4"](_resized(p3, middle, 1) + middle)
            p5 = cell["sum_55_5"](p5 + _attended(_resized(p4, p5, 1), _resized(p3, p5, 2)))
            p7 = cell["sum_77_7"](p7 + _attended(_resized(p5, p7, 2), _resized(middle, p7, 3)))
            p6 = cell["gp_75_6"](_attended(_resized(p7, p6, -1), _resized(p5, p6, 1)))
        return [p3, p4, p5, p6, p7]


class Cell(nn.Module):
    """The layers after a merge: ReLU, a 3x3 convolution, normalisation; (n, channels, h, w) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out_conv = ConvNorm(channels, channels, 3, norm="bn", bias=True, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_conv(torch.relu(x))


def _attended(x: Tensor, other: Tensor) -> Tensor:
    """The other map plus `x`, whose channels are scaled by factors computed from the other map (figure 4)."""
    return other + x * other.mean((2, 3), keepdim=True).sigmoid()


def _resized(x: Tensor, like: Tensor, steps: int) -> Tensor:
    """The map in the size of another, which is `steps` levels coarser, or finer where that is negative."""
    size = like.shape[2:]
    return adaptive_max(x, size, 2**steps) if steps > 0 else F.interpolate(x, size=size)


def from_config(section: Section, trunk: Trunk) -> Neck:
    """OpenMMLab's NASFPN on the backbone's last three levels."""
    section.same("in_channels", trunk.channels)
    section.same("start_level", len(trunk.levels) - 3, 0)
    section.same("num_outs", 5)
    section.fixed(end_level=-1)
    section.training("add_extra_convs")  # without effect
    channels = section.integer("out_channels")
    network = partial(NASFPN, trunk.channels[-3:], channels, repeats=section.integer("stack_times", most=64))
    first, *_ = strides = trunk.strides[-3:]
    if strides != (first, 2 * first, 4 * first):
        section.refuse("in_channels", "those of three levels whose strides double")
    extra = (8 * first, 16 * first)
    return Neck(
        normed(network, batch_norm(section)), trunk.levels[-3:], channels, (*strides, *extra), (1, 1, 1, *extra)
    )
