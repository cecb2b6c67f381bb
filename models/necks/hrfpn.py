"""HRNet's feature pyramid (Sun et al., "High-Resolution Representations for Labeling Pixels and Regions", arXiv
1904.04514, section 3.2)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm
from ..config.parts import Neck, Trunk
from ..config.section import Section


class HRFPN(nn.Module):
    """All of the backbone's levels as one at the finest stride, and from that `levels` pyramid levels of equal width.

    Shapes: (n, in_channels[i], h / 2^i, w / 2^i) each to (n, channels, h / (stride * 2^i), w / (stride * 2^i)), halves
    rounded down; `stride` is that of the last convolutions.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, levels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.reduction_conv = ConvNorm(sum(in_channels), channels, 1, relu=False)
        self.fpn_convs = nn.ModuleList(
            ConvNorm(channels, channels, 3, stride=stride, relu=False) for _ in range(levels)
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        finest, *others = levels
        grown = [
            F.interpolate(x, scale_factor=float(2**i), mode="bilinear", align_corners=False)
            for i, x in enumerate(others, 1)
        ]
        x = self.reduction_conv(torch.cat((finest, *grown), 1))
        pooled = [x, *(F.avg_pool2d(x, 2**i) for i in range(1, len(self.fpn_convs)))]
        return [conv(x) for conv, x in zip(self.fpn_convs, pooled, strict=True)]


def from_config(section: Section, trunk: Trunk) -> Neck:
    """OpenMMLab's HRFPN."""
    section.same("in_channels", trunk.channels)
    section.fixed(pooling_type="AVG", conv_cfg=None, norm_cfg=None)
    channels, levels, stride = (
        section.integer("out_channels"),
        section.integer("num_outs", 5, most=16),
        section.integer("stride", 1, most=2),
    )
    strides = tuple(stride * trunk.strides[0] << i for i in range(levels))
    build = partial(HRFPN, trunk.channels, channels, levels, stride=stride)
    return Neck(build, trunk.levels, channels, strides, tuple(each // stride for each in strides))
