"""MSPN: a sequence of stages, each of which downsamples and upsamples (Li et al., "Rethinking on Multi-Stage Networks
for Human Pose Estimation", arXiv 1901.00148)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm
from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section
from .resnet import Bottleneck

Block = Callable[[int, int, int], nn.Module]
"""Builds a block from input channels, width and stride. Its output has `width` times `expansion` channels."""


def bottleneck(in_channels: int, width: int, stride: int) -> nn.Module:
    """ResNet's."""
    return Bottleneck(in_channels, width, stride, "pytorch", (1, width), None)


class Downsampling(nn.Module):
    """The downsampling of a stage: one map to four levels at its strides 1, 2, 4 and 8, finest first.

    The `skips` of the previous stage are added, one to each level.
    """

    def __init__(self, block: Block, blocks: Sequence[int], width: int) -> None:
        super().__init__()
        in_channels = width
        channels: list[int] = []
        for i, count in enumerate(blocks):
            layer: list[Any] = []
            for j in range(count):
                layer.append(block(in_channels, width << i, 2 if i > 0 and j == 0 else 1))
                in_channels = (width << i) * layer[-1].expansion
            setattr(self, f"layer{i + 1}", nn.Sequential(*layer))
            channels.append(in_channels)
        self.channels = tuple(channels)

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> list[Tensor]:
        levels: list[Tensor] = []
        for i, layer in enumerate(self.children()):
            x = layer(x) + skips[i] if skips else layer(x)
            levels.append(x)
        return levels


class UpUnit(nn.Module):
    """One level of the upsampling, with `channels` channels. All but the coarsest add the level `below`.

    Except in the `last` stage, it also produces a skip for the next stage and, at the finest level, that stage's input
    of `width` channels (section 3.2).
    """

    def __init__(
        self, in_channels: int, channels: int, width: int, *, coarsest: bool, finest: bool, last: bool
    ) -> None:
        super().__init__()
        self.in_skip = ConvNorm(in_channels, channels, 1, norm="bn", relu=False)
        if not coarsest:
            self.up_conv = ConvNorm(channels, channels, 1, norm="bn", relu=False)
        if not last:
            self.out_skip1 = ConvNorm(in_channels, in_channels, 1, norm="bn")
            self.out_skip2 = ConvNorm(channels, in_channels, 1, norm="bn")
        if finest and not last:
            self.cross_conv = ConvNorm(channels, width, 1, norm="bn")

    def forward(self, level: Tensor, below: Tensor | None) -> Tensor:
        x = self.in_skip(level)
        if below is not None:
            below = F.interpolate(below, size=level.shape[2:], mode="bilinear", align_corners=True)
            x = x + self.up_conv(below)
        return torch.relu(x)

    def skip(self, level: Tensor, x: Tensor) -> Tensor:
        return self.out_skip1(level) + self.out_skip2(x)


class Upsampling(nn.Module):
    """The upsampling of a stage: levels, finest first, to as many maps, coarsest first."""

    def __init__(self, in_channels: Sequence[int], channels: int, width: int, *, last: bool) -> None:
        super().__init__()
        count = len(in_channels)
        for i, level_channels in enumerate(reversed(in_channels)):
            unit = UpUnit(level_channels, channels, width, coarsest=i == 0, finest=i == count - 1, last=last)
            setattr(self, f"up{i + 1}", unit)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        maps: list[Tensor] = []
        for unit, level in zip(self.children(), reversed(levels), strict=True):
            maps.append(unit(level, maps[-1] if maps else None))
        return maps

    def onwards(self, levels: Sequence[Tensor], maps: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """The skips, finest first, and the input of the next stage."""
        units: list[Any] = list(self.children())
        skips = [unit.skip(level, x) for unit, level, x in zip(units, reversed(levels), maps, strict=True)]
        return skips[::-1], units[-1].cross_conv(maps[-1])


class Stage(nn.Module):
    """Downsampling and upsampling. Returns the levels, finest first, and the maps, coarsest first."""

    def __init__(self, block: Block, blocks: Sequence[int], width: int, channels: int, *, last: bool) -> None:
        super().__init__()
        self.downsample = Downsampling(block, blocks, width)
        self.upsample = Upsampling(self.downsample.channels, channels, width, last=last)

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        levels = self.downsample(x, skips)
        return levels, self.upsample(levels)


def resnet_top(width: int) -> nn.Sequential:
    """ResNet's stem: image to stride 4."""
    return nn.Sequential(ConvNorm(3, width, 7, stride=2, norm="bn"), nn.MaxPool2d(3, 2, 1))


class MSPN(nn.Module):
    """Image to the maps of every stage, coarsest first. The last map, at stride 4, is the prediction.

    Shapes: (n, 3, h, w) to four maps of each stage, (n, channels, ceil(h / s), ceil(w / s)) at s of 32, 16, 8 and 4.
    `blocks` is the number of blocks of each level, `top` builds the stem, and `width` is the width of the stem and of
    the finest level's blocks.
    """

    def __init__(
        self,
        stages: int = 1,
        *,
        block: Block = bottleneck,
        blocks: Sequence[int] = (3, 4, 6, 3),
        top: Callable[[int], nn.Module] = resnet_top,
        width: int = 64,
        channels: int = 256,
    ) -> None:
        super().__init__()
        self.channels = (channels,)
        self.top = nn.ModuleDict({"top": top(width)})
        self.multi_stage_mspn = nn.ModuleList(
            Stage(block, blocks, width, channels, last=i == stages - 1) for i in range(stages)
        )

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        x = self.top["top"](image)
        skips: Sequence[Tensor] = ()
        maps: list[list[Tensor]] = []
        stages: list[Any] = list(self.multi_stage_mspn)
        for stage in stages:
            levels, found = stage(x, skips)
            maps.append(found)
            if stage is not stages[-1]:
                skips, x = stage.upsample.onwards(levels, found)
        return maps


def from_config(section: Section) -> Trunk:
    """OpenMMLab's MSPN."""
    network = partial(MSPN, blocks=section.integers("num_blocks", (2, 2, 2, 2), count=4), **shape(section))
    return Trunk(normed(network, batch_norm(section)), (-1,), (4,), SHORTCUT)


def shape(section: Section) -> dict[str, int]:
    """The keys that MSPN and RSN share."""
    section.fixed(num_units=4)
    channels, stages = section.integer("unit_channels", 256), section.integer("num_stages", 4, most=16)
    return {"stages": stages, "channels": channels, "width": section.integer("res_top_channels", 64)}


SHORTCUT = {".downsample.conv.": ".downsample.0.", ".downsample.bn.": ".downsample.1."}
"""For `Variant.mapping`: OpenMMLab's names for the layers of a bottleneck's shortcut in an MSPN."""
