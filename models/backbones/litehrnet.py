"""Lite-HRNet (Yu et al., "Lite-HRNet: A Lightweight High-Resolution Network", arXiv 2104.06403)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm, SqueezeExcite
from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section


def _depthwise(channels: int, stride: int = 1) -> ConvNorm:
    return ConvNorm(channels, channels, 3, stride=stride, norm="bn", relu=False, groups=channels)


def _separable(in_channels: int, channels: int, stride: int, *, relu: bool) -> nn.Sequential:
    """A depthwise and a 1x1 convolution in one flat sequence."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False),
        nn.BatchNorm2d(in_channels),
        nn.Conv2d(in_channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        *([nn.ReLU()] if relu else []),
    )


def _shuffled(first: Tensor, second: Tensor) -> Tensor:
    """The channels of both, alternating."""
    return torch.stack((first, second), 2).flatten(1, 2)


class Stem(nn.Module):
    """Image to stride 4: a convolution, then two branches on half the channels each (section 3.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = ConvNorm(3, channels, 3, stride=2, norm="bn")
        self.branch1 = nn.Sequential(_depthwise(half, 2), ConvNorm(half, half, 1, norm="bn"))
        self.expand_conv = ConvNorm(half, channels, 1, norm="bn")
        self.depthwise_conv = _depthwise(channels, 2)
        self.linear_conv = ConvNorm(channels, half, 1, norm="bn")

    def forward(self, image: Tensor) -> Tensor:
        first, second = self.conv1(image).chunk(2, 1)
        return _shuffled(self.branch1(first), self.linear_conv(self.depthwise_conv(self.expand_conv(second))))


class CrossWeighting(nn.Module):
    """Weights of all levels' channels at the coarsest resolution, computed together (equation 3)."""

    def __init__(self, channels: Sequence[int], ratio: int) -> None:
        super().__init__()
        total, self.channels = sum(channels), list(channels)
        self.conv1 = ConvNorm(total, total // ratio, 1, norm="bn")
        self.conv2 = ConvNorm(total // ratio, total, 1, norm="bn", relu=False)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        last = len(levels) - 1
        pooled = [F.avg_pool2d(x, 1 << (last - i)) for i, x in enumerate(levels[:-1])]
        weights = torch.sigmoid(self.conv2(self.conv1(torch.cat([*pooled, levels[-1]], 1))))
        parts = zip(levels, weights.split(self.channels, 1), strict=True)
        return [x * F.interpolate(weight, size=x.shape[2:]) for x, weight in parts]


class ConditionalWeighting(nn.Module):
    """A shuffle block per level whose 1x1 convolutions are weights of channels (section 3.3)."""

    def __init__(self, channels: Sequence[int], ratio: int) -> None:
        super().__init__()
        halves = [width // 2 for width in channels]
        self.cross_resolution_weighting = CrossWeighting(halves, ratio)
        self.depthwise_convs = nn.ModuleList(_depthwise(half) for half in halves)
        self.spatial_weighting = nn.ModuleList(SqueezeExcite(half, half // 4) for half in halves)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        halves = [x.chunk(2, 1) for x in levels]
        weighted = self.cross_resolution_weighting([second for _, second in halves])
        parts = zip(halves, weighted, self.depthwise_convs, self.spatial_weighting, strict=True)
        return [_shuffled(first, spatial(depthwise(x))) for (first, _), x, depthwise, spatial in parts]


class LiteModule(nn.Module):
    """Blocks on all levels, then fusion.

    The finest level enters its own sum and, summed, that of each other level twice, as in the authors' network.
    """

    def __init__(self, channels: Sequence[int], blocks: int, ratio: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(ConditionalWeighting(channels, ratio) for _ in range(blocks)))
        count = range(len(channels))
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_resizing(channels, source, target) for source in count) for target in count
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        finest, *others = self.layers(levels)
        fused: list[Tensor] = []
        for target, row in enumerate(self.fuse_layers):
            total = 2 * row[0](finest)
            for source, x in enumerate(others, 1):
                x = row[source](x)
                if source > target:
                    x = F.interpolate(x, scale_factor=float(1 << (source - target)))
                total = total + x
            if target == 0:
                finest = total
            fused.append(torch.relu(total))
        return fused


def _resizing(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """Convert one level to the channels of another, and to its size if that is smaller."""
    if source == target:
        return nn.Identity()
    if source > target:
        convolution = nn.Conv2d(channels[source], channels[target], 1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(channels[target]))
    widths = [channels[source]] * (target - source) + [channels[target]]
    steps = range(target - source)
    return nn.Sequential(*(_separable(*widths[i : i + 2], 2, relu=i < steps[-1]) for i in steps))


def _transition(before: Sequence[int], channels: Sequence[int]) -> nn.ModuleList:
    """The input of each branch of the next stage: a level with other channels, unchanged, or of half the size."""
    changes: list[nn.Module] = []
    for i, width in enumerate(channels):
        if i >= len(before):
            changes.append(nn.Sequential(_separable(before[-1], width, 2, relu=True)))
        else:
            same = before[i] == width
            changes.append(nn.Identity() if same else _separable(before[i], width, 1, relu=True))
    return nn.ModuleList(changes)


class SeparableConv(nn.Module):
    """A depthwise 3x3 and a 1x1 convolution."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.depthwise_conv = _depthwise(in_channels)
        self.pointwise_conv = ConvNorm(in_channels, channels, 1, norm="bn")

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


class IterativeHead(nn.Module):
    """The levels, coarsest first, each enlarged and added to the next; the finest is the result."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        widths = [*reversed(channels), channels[0]]
        self.projects = nn.ModuleList(SeparableConv(*widths[i : i + 2]) for i in range(len(channels)))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        total: Tensor | None = None
        for project, x in zip(self.projects, reversed(levels), strict=True):
            if total is not None:
                x = x + F.interpolate(total, size=x.shape[2:], mode="bilinear", align_corners=True)
            total = project(x)
        assert total is not None
        return total


class LiteHRNet(nn.Module):
    """Image to one level at stride 4.

    Shapes: (n, 3, h, w), h and w multiples of 32, to (n, width, h / 4, w / 4). The branches have `width` channels,
    twice, four and eight times as many; `modules` is how often they exchange in each stage, `blocks` how many blocks
    come before each exchange, and `ratio` how much their weights are squeezed.
    """

    def __init__(
        self,
        modules: Sequence[int] = (2, 4, 2),
        *,
        width: int = 40,
        stem: int = 32,
        blocks: int = 2,
        ratio: int = 8,
    ) -> None:
        super().__init__()
        self.channels, self.count = (width,), len(modules)
        self.stem = Stem(stem)
        before = [stem]
        for i, count in enumerate(modules):
            channels = [width << branch for branch in range(i + 2)]
            setattr(self, f"transition{i}", _transition(before, channels))
            setattr(self, f"stage{i}", nn.Sequential(*(LiteModule(channels, blocks, ratio) for _ in range(count))))
            before = channels
        self.head_layer = IterativeHead(before)

    def forward(self, image: Tensor) -> list[Tensor]:
        levels = [self.stem(image)]
        for i in range(self.count):
            transition = getattr(self, f"transition{i}")
            inputs = [levels[min(j, len(levels) - 1)] for j in range(len(transition))]
            levels = getattr(self, f"stage{i}")([change(x) for change, x in zip(transition, inputs, strict=True)])
        return [self.head_layer(levels)]


def from_config(section: Section) -> Trunk:
    """OpenMMLab's LiteHRNet of weighted modules."""
    section.fixed(in_channels=3, conv_cfg=None)
    extra = section.section("extra") or section.refuse("extra", "a dict of stages")
    extra.same("with_head", True)
    extra.same("num_stages", 3)
    stem = extra.section("stem") or extra.refuse("stem", "a dict")
    channels = stem.integer("stem_channels")
    stem.same("out_channels", channels)
    stem.same("expand_ratio", 1)
    stages = extra.section("stages_spec") or extra.refuse("stages_spec", "a dict")
    modules, blocks, ratios = (stages.integers(key, count=3) for key in ("num_modules", "num_blocks", "reduce_ratios"))
    stages.same("num_branches", (2, 3, 4))
    stages.same("module_type", ("LITE",) * 3)
    stages.same("with_fuse", (True,) * 3)
    stages.same("num_blocks", (blocks[0],) * 3)
    stages.same("reduce_ratios", (ratios[0],) * 3)
    width = int(stages.levels_of_numbers("num_channels", count=3)[0][0])
    stages.same("num_channels", tuple(tuple(width << i for i in range(count)) for count in (2, 3, 4)))
    network = partial(LiteHRNet, modules, width=width, stem=channels, blocks=blocks[0], ratio=ratios[0])
    return Trunk(normed(network, batch_norm(section)), (0,), (4,))
