"""Path aggregation (Liu et al., "Path Aggregation Network for Instance Segmentation", arXiv 1803.01534) by
concatenation, as YOLO and its descendants have it."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvAct, ConvNorm, Norm
from ..config.norms import batch_norm, normed
from ..config.parts import Neck, Trunk
from ..config.section import Section
from ..config.trunks import check_activation
from ..csp import Convolution, CSPLayer, CSPNeXtBlock, DarknetBlock, Separable


class ConcatPAN(nn.Module):
    """Backbone levels to as many pyramid levels of one width, with a top-down and a bottom-up path.

    Shapes: (n, in_channels[i], h, w) each to (n, channels, h, w). `merge` builds what turns two concatenated levels
    into one, from its input and output channels; `down` the layers that halve a level, `out` the last layer of each
    level.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        merge: Callable[[int, int], nn.Module],
        down: Convolution,
        out: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__()
        steps = list(pairwise(in_channels))
        self.reduce_layers = nn.ModuleList(ConvAct(coarse, fine, 1) for fine, coarse in reversed(steps))
        self.top_down_blocks = nn.ModuleList(merge(2 * fine, fine) for fine, _ in reversed(steps))
        self.downsamples = nn.ModuleList(down(fine, fine, 3, stride=2) for fine, _ in steps)
        self.bottom_up_blocks = nn.ModuleList(merge(2 * fine, coarse) for fine, coarse in steps)
        self.out_convs = nn.ModuleList(out(c, channels) for c in in_channels)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        x = levels[-1]
        reduced: list[Tensor] = []
        for reduce, merge, finer in zip(self.reduce_layers, self.top_down_blocks, levels[-2::-1], strict=True):
            reduced.append(reduce(x))
            x = merge(torch.cat((F.interpolate(reduced[-1], size=finer.shape[2:]), finer), 1))
        merged = _up([x, *reversed(reduced)], self.downsamples, self.bottom_up_blocks)
        return [out(x) for out, x in zip(self.out_convs, merged, strict=True)]


def from_config(section: Section, trunk: Trunk) -> Neck:
    """OpenMMLab's YOLOXPAFPN and CSPNeXtPAFPN."""
    section.same("in_channels", trunk.channels)
    section.fixed(conv_cfg=None)
    check_activation(section, "SiLU", "Swish")
    if upsample := section.section("upsample_cfg"):
        upsample.fixed(mode="nearest", scale_factor=2)
    channels, separable = section.integer("out_channels"), section.flag("use_depthwise", False)
    conv = Separable if separable else ConvAct
    if section.type == "CSPNeXtPAFPN":
        section.fixed(expand_ratio=0.5)
        block, out = partial(CSPNeXtBlock, shortcut=False, conv=conv), partial(conv, kernel=3)
    else:
        block, out = partial(DarknetBlock, shortcut=False, conv=conv), partial(ConvAct, kernel=1)
    merge = partial(CSPLayer, blocks=section.integer("num_csp_blocks", 3, most=64), block=block)
    network = partial(ConcatPAN, trunk.channels, channels, merge=merge, down=conv, out=out)
    return Neck(normed(network, batch_norm(section, Norm("bn", 1e-3))), trunk.levels, channels, trunk.strides)


class UniformPAN(nn.Module):
    """A ConcatPAN that first reduces all levels to one width, with one more, coarser level.

    Shapes: (n, in_channels[i], h, w) each, and one level more, to (n, channels, h, w). `reduce` builds the layer that
    changes a level's width, `merge` the layers that turn two concatenated levels into one, and `down` those that halve
    a level. `enlarge` is the interpolation mode of the upsampling.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        reduce: Callable[[int, int], nn.Module],
        merge: Callable[[int, int], nn.Module],
        down: Callable[[int, int], nn.Module],
        enlarge: Literal["nearest", "bilinear"] = "nearest",
    ) -> None:
        super().__init__()
        self.enlarge = enlarge
        steps = range(len(in_channels) - 1)
        self.reduce_layers = nn.ModuleList(reduce(c, channels) for c in in_channels)
        self.top_down_blocks = nn.ModuleList(merge(2 * channels, channels) for _ in steps)
        self.downsamples = nn.ModuleList(down(channels, channels) for _ in steps)
        self.bottom_up_blocks = nn.ModuleList(merge(2 * channels, channels) for _ in steps)
        self.extra_lvl_in_conv = nn.ModuleList([down(channels, channels)])
        self.extra_lvl_out_conv = nn.ModuleList([down(channels, channels)])

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        reduced = [reduce(x) for reduce, x in zip(self.reduce_layers, levels, strict=True)]
        merged = [reduced[-1]]
        for merge, finer in zip(self.top_down_blocks, reduced[-2::-1], strict=True):
            larger = F.interpolate(merged[0], size=finer.shape[2:], mode=self.enlarge)
            merged.insert(0, merge(torch.cat((larger, finer), 1)))
        outputs = _up(merged, self.downsamples, self.bottom_up_blocks)
        extra = self.extra_lvl_in_conv[0](reduced[-1]) + self.extra_lvl_out_conv[0](outputs[-1])
        return [*outputs, extra]


def _up(levels: Sequence[Tensor], downs: nn.ModuleList, merges: nn.ModuleList) -> list[Tensor]:
    """The bottom-up path: merges each level with the downsampled finer one."""
    merged = [levels[0]]
    for down, merge, coarser in zip(downs, merges, levels[1:], strict=True):
        merged.append(merge(torch.cat((down(merged[-1]), coarser), 1)))
    return merged


class AddPAN(nn.Module):
    """NanoDet's path aggregation: levels of one width, summed top-down and then bottom-up, without further parameters.

    Shapes: (n, in_channels[i], h, w) each to (n, channels, h, w).
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(ConvNorm(c, channels, 1, relu=False) for c in in_channels)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        merged = [conv(x) for conv, x in zip(self.lateral_convs, levels, strict=True)]
        for i in range(len(merged) - 1, 0, -1):
            merged[i - 1] = merged[i - 1] + _resized(merged[i], merged[i - 1])
        for i in range(1, len(merged)):
            merged[i] = merged[i] + _resized(merged[i - 1], merged[i])
        return merged


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
