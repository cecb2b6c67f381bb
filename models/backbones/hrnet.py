"""HRNet (Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation", arXiv 1902.09212)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config.norms import normed, trunk_norm
from ..config.parts import Trunk
from ..config.section import Section
from .resnet import GROUP_NORMS, BasicBlock, Bottleneck


class HRNet(nn.Module):
    """Image to the first `outputs` levels at strides 4, 8, 16 and 32, which exchange features throughout the network.

    Shapes: (n, 3, h, w), h and w multiples of 32, to (n, channels[i], h / stride, w / stride). The branches have
    `width` channels, twice, four and eight times as many; `modules` is how often they exchange in stages 2, 3 and 4,
    `blocks` how many blocks come before every exchange and in stage 1, whose stem has `stem` channels. `mode` is how
    exchanges enlarge levels: "nearest" or "bilinear".
    """

    def __init__(
        self,
        width: int,
        *,
        modules: tuple[int, int, int] = (1, 4, 3),
        blocks: int = 4,
        stem: int = 64,
        outputs: int = 1,
        mode: str = "nearest",
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.conv2 = nn.Conv2d(stem, stem, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(stem)
        wide = Bottleneck.expansion * stem
        bottlenecks = (Bottleneck(wide if i else stem, stem, 1, "pytorch", (1, stem), None) for i in range(blocks))
        self.layer1 = nn.Sequential(*bottlenecks)
        before = [wide]
        for i, count in enumerate(modules):
            channels = [width << branch for branch in range(i + 2)]
            setattr(self, f"transition{i + 1}", _transition(before, channels))
            ends = (len(modules) - 1, count - 1)
            stage = (
                Exchange(channels, blocks, outputs if (i, j) == ends else len(channels), mode) for j in range(count)
            )
            setattr(self, f"stage{i + 2}", nn.Sequential(*stage))
            before = channels
        self.channels = tuple(width << branch for branch in range(outputs))

    def forward(self, image: Tensor) -> list[Tensor]:
        return self.levels(self.stem(image))

    def stem(self, image: Tensor) -> Tensor:
        """The first two convolutions, to stride 4."""
        x = torch.relu(self.bn1(self.conv1(image)))
        return torch.relu(self.bn2(self.conv2(x)))

    def levels(self, x: Tensor) -> list[Tensor]:
        """The levels from what the stem gives."""
        levels = [self.layer1(x)]
        for transition, stage in (
            (self.transition1, self.stage2),
            (self.transition2, self.stage3),
            (self.transition3, self.stage4),
        ):
            # A new branch starts from the coarsest level; before the first stage that is the only one.
            inputs = [levels[min(i, len(levels) - 1)] for i in range(len(transition))]
            levels = stage([change(x) for change, x in zip(transition, inputs, strict=True)])
        return levels


class Exchange(nn.Module):
    """Blocks on every level, then fusion: each of the first `outputs` levels sums all resized levels (section 3)."""

    def __init__(self, channels: Sequence[int], blocks: int, outputs: int, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(c, c, 1, "pytorch", (1, c), None) for _ in range(blocks))) for c in channels
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_resizing(channels, source, target) for source in range(len(channels)))
            for target in range(outputs)
        )

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        levels = [branch(x) for branch, x in zip(self.branches, levels, strict=True)]
        return [torch.relu(_sum(row, levels, target, self.mode)) for target, row in enumerate(self.fuse_layers)]


def _sum(row: nn.ModuleList, levels: Sequence[Tensor], target: int, mode: str) -> Tensor:
    """One output of an exchange: the sum of all levels, resized to level `target`."""
    total: Tensor | None = None
    for source, (resize, x) in enumerate(zip(row, levels, strict=True)):
        x = resize(x)
        if source > target:
            x = F.interpolate(x, scale_factor=float(2 ** (source - target)), mode=mode)
        total = x if total is None else total + x
    assert total is not None
    return total


def _resizing(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """Convert one level to the channels of another, and to its size if that is smaller."""
    if source == target:
        return nn.Identity()
    if source > target:
        return _convolution(channels[source], channels[target], 1)
    steps = target - source
    widths = [channels[source]] * steps + [channels[target]]
    return nn.Sequential(*(_convolution(*widths[i : i + 2], 3, 2, relu=i < steps - 1) for i in range(steps)))


def _transition(before: Sequence[int], channels: Sequence[int]) -> nn.ModuleList:
    """The input of each branch of the next stage: a level unchanged, with other channels, or of half the size."""
    changes: list[nn.Module] = []
    for i, width in enumerate(channels):
        if i >= len(before):
            changes.append(nn.Sequential(_convolution(before[-1], width, 3, 2, relu=True)))
        elif before[i] != width:
            changes.append(_convolution(before[i], width, 3, relu=True))
        else:
            changes.append(nn.Identity())
    return nn.ModuleList(changes)


def _convolution(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, relu: bool = False
) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), *([nn.ReLU()] if relu else []))


AUTHORS = {f"^{part}": f"backbone.{part}" for part in ("conv", "bn", "layer1.", "transition", "stage")}
"""For `Variant.mapping`: the authors' keys have no prefix for the parts of the network."""


_STEM = 64
"""The channels of OpenMMLab's first layers."""


def from_config(section: Section) -> Trunk:
    """OpenMMLab's HRNet: of mmdet with four output levels, of mmpose with one unless stage 4 has all."""
    section.fixed(in_channels=3, conv_cfg=None)
    in_mmpose = section.text("_scope_", "mmdet") == "mmpose"
    section.fixed(multiscale_output=not in_mmpose)
    extra = section.section("extra") or section.refuse("extra", "a dict of stages")
    mode = "nearest"
    if in_mmpose and (upsample := extra.section("upsample")):
        mode = upsample.choice("mode", {"nearest": "nearest", "bilinear": "bilinear"})
        upsample.choice("align_corners", {None: None, False: None}, None)
    first, *stages = (extra.section(f"stage{i}") or extra.refuse(f"stage{i}", "a dict") for i in (1, 2, 3, 4))
    (blocks,) = first.integers("num_blocks", count=1)
    for key, value in (("num_modules", 1), ("num_branches", 1), ("block", "BOTTLENECK"), ("num_channels", (_STEM,))):
        first.same(key, value)
    width = stages[0].integers("num_channels", count=2)[0]
    for i, stage in enumerate(stages, 2):
        stage.same("block", "BASIC")
        stage.same("num_branches", i)
        stage.same("num_blocks", (blocks,) * i)
        stage.same("num_channels", tuple(width << branch for branch in range(i)))
    *others, last = stages
    for stage in others if in_mmpose else stages:
        stage.fixed(multiscale_output=False)
    outputs = 4 if not in_mmpose or last.flag("multiscale_output", False) else 1
    modules = tuple(stage.integer("num_modules", most=64) for stage in stages)
    network = partial(HRNet, width, modules=modules, blocks=blocks, outputs=outputs, mode=mode)
    strides = tuple(4 << level for level in range(outputs))
    return Trunk(normed(network, trunk_norm(section)), tuple(range(outputs)), strides, GROUP_NORMS)
