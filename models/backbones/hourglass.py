"""Stacked hourglasses (Newell et al., arXiv 1603.06937), as CornerNet builds them (arXiv 1808.01244, section 4.1)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm
from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section
from .resnet import BasicBlock


class HourglassModule(nn.Module):
    """One hourglass: down to the coarsest level and up again, with a shortcut at every level.

    Shapes: (n, channels[0], h, w) to the same. `channels` and `blocks` hold the width and the number of residual blocks
    of each level.
    """

    def __init__(self, channels: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        outer, inner = channels[:2]
        self.up1 = _residuals(outer, outer, blocks[0])
        self.low1 = _residuals(outer, inner, blocks[0], stride=2)
        self.low2 = (
            HourglassModule(channels[1:], blocks[1:]) if len(channels) > 2 else _residuals(inner, inner, blocks[1])
        )
        self.low3 = nn.Sequential(*_residuals(inner, inner, blocks[0] - 1), *_residuals(inner, outer, 1))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.up1(x)
        low = self.low3(self.low2(self.low1(x)))
        return shortcut + F.interpolate(low, size=shortcut.shape[2:])


class HourglassNet(nn.Module):
    """Image to one map per stack, at stride 4. Later maps are more accurate.

    Shapes: (n, 3, h, w) to `stacks` maps (n, channels[0], ceil(h / 4), ceil(w / 4)). The defaults are Hourglass-104.
    """

    def __init__(
        self,
        channels: Sequence[int] = (256, 256, 384, 384, 384, 512),
        blocks: Sequence[int] = (2, 2, 2, 2, 2, 4),
        stacks: int = 2,
    ) -> None:
        super().__init__()
        width, between = channels[0], range(stacks - 1)
        self.stem = nn.Sequential(
            ConvNorm(3, width // 2, 7, stride=2, norm="bn"), _residuals(width // 2, width, 1, stride=2)
        )
        self.hourglass_modules = nn.ModuleList(HourglassModule(channels, blocks) for _ in range(stacks))
        self.out_convs = nn.ModuleList(ConvNorm(width, width, 3, norm="bn") for _ in range(stacks))
        self.conv1x1s = nn.ModuleList(ConvNorm(width, width, 1, norm="bn", relu=False) for _ in between)
        self.remap_convs = nn.ModuleList(ConvNorm(width, width, 1, norm="bn", relu=False) for _ in between)
        self.inters = _residuals(width, width, stacks - 1)
        self.channels = (width,) * stacks

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.stem(image)
        maps: list[Tensor] = []
        for i, (hourglass, convolution) in enumerate(zip(self.hourglass_modules, self.out_convs, strict=True)):
            maps.append(convolution(hourglass(x)))
            if i < len(self.inters):
                x = self.inters[i](torch.relu(self.conv1x1s[i](x) + self.remap_convs[i](maps[-1])))
        return maps


AUTHORS = {
    "^pre.0.": "backbone.stem.0.",
    "^pre.1.": "backbone.stem.1.0.",
    "^kps.": "backbone.hourglass_modules.",
    "^cnvs.": "backbone.out_convs.",
    "^inters.": "backbone.inters.",
    "^inters_.0.0.": "backbone.conv1x1s.0.conv.",
    "^inters_.0.1.": "backbone.conv1x1s.0.bn.",
    "^cnvs_.0.0.": "backbone.remap_convs.0.conv.",
    "^cnvs_.0.1.": "backbone.remap_convs.0.bn.",
    ".skip.": ".downsample.",
}
"""For `Variant.mapping`: the checkpoint layout of the authors of CornerNet and CenterNet."""


UNUSED = ("backbone.inters.",)
"""For `Variant.unused`: OpenMMLab's network of one stack has blocks that lead to the next all the same."""


def _residuals(in_channels: int, out_channels: int, count: int, stride: int = 1) -> nn.Sequential:
    """Residual blocks. The first one changes the channels and the size."""
    blocks: list[nn.Module] = []
    for i in range(count):
        first = (in_channels, stride) if i == 0 else (out_channels, 1)
        blocks.append(BasicBlock(first[0], out_channels, first[1], "pytorch", (1, out_channels), None))
    return nn.Sequential(*blocks)


def from_config(section: Section) -> Trunk:
    """OpenMMLab's HourglassNet, with the last stack's map as its level."""
    channels = section.integers("stage_channels", (256, 256, 384, 384, 384, 512))
    blocks = section.integers("stage_blocks", (2, 2, 2, 2, 2, 4), count=len(channels))
    section.same("downsample_times", len(channels) - 1, 5)
    section.same("feat_channel", channels[0], 256)
    stacks = section.integer("num_stacks", 2, most=16)
    build = normed(partial(HourglassNet, channels, blocks, stacks), batch_norm(section))
    return Trunk(build, (stacks - 1,), (4,), unused=UNUSED if stacks == 1 else ())
