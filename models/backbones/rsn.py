"""Residual steps (Cai et al., "Learning Delicate Local Representations for Multi-Person Pose Estimation", RSN, arXiv
2003.04030); the stages around them are MSPN's."""

from functools import partial

import torch
from torch import Tensor, nn

from ..blocks import ConvNorm
from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section
from .mspn import MSPN, shape

_STEPS = 4


class ResidualSteps(nn.Module):
    """The residual steps block: four branches, each with one more 3x3 convolution than the previous one.

    Shapes: (n, in_channels, h, w) to (n, channels, ceil(h / stride), ceil(w / stride)). A branch has 26/64 of the
    input's channels.
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.branch = self.branch_channels(in_channels, channels)
        wide = _STEPS * self.branch
        self.conv_bn_relu1 = ConvNorm(in_channels, wide, 1, stride=stride, norm="bn")
        for i in range(1, _STEPS + 1):
            for j in range(1, i + 1):
                setattr(self, f"conv_bn_relu2_{i}_{j}", ConvNorm(self.branch, self.branch, 3, norm="bn"))
        self.conv_bn3 = ConvNorm(wide, channels, 1, norm="bn", relu=False)
        same = stride == 1 and in_channels == channels
        shortcut = ConvNorm(in_channels, channels, 1, stride=stride, norm="bn", relu=False)
        self.downsample = nn.Identity() if same else shortcut

    def branch_channels(self, in_channels: int, channels: int) -> int:
        return in_channels * 26 // 64

    def steps(self, x: Tensor) -> Tensor:
        """The block without its shortcut."""
        ends: list[Tensor] = []
        above: list[Tensor] = []
        for i, part in enumerate(self.conv_bn_relu1(x).split(self.branch, 1), 1):
            row: list[Tensor] = []
            for j in range(1, i + 1):
                before = row[-1] if row else part
                if j < i:
                    before = before + above[j - 1]
                row.append(getattr(self, f"conv_bn_relu2_{i}_{j}")(before))
            ends.append(row[-1])
            above = row
        return self.conv_bn3(torch.cat(ends, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.steps(x) + self.downsample(x))


class GatedResidualSteps(ResidualSteps):
    """The block of UDP's authors (arXiv 1911.07524): branches have 26/64 of the output's channels, with a channel gate.

    The gate is "Squeeze-and-Excitation" (Hu et al., arXiv 1709.01507) with a reduction of 8.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__(in_channels, channels, stride)
        self.se = nn.ModuleDict({"fc": _excitation(channels, channels // 8)})

    def branch_channels(self, in_channels: int, channels: int) -> int:
        return channels * 26 // 64

    def steps(self, x: Tensor) -> Tensor:
        x = super().steps(x)
        return x * self.se["fc"](x.mean((2, 3)))[:, :, None, None]


def _excitation(channels: int, narrow: int) -> nn.Sequential:
    first, last = nn.Linear(channels, narrow, bias=False), nn.Linear(narrow, channels, bias=False)
    return nn.Sequential(first, nn.ReLU(), last, nn.Sigmoid())


def deep_top(width: int) -> nn.Sequential:
    """The stem of UDP's authors: image to stride 4, without pooling."""
    return nn.Sequential(
        ConvNorm(3, width, 3, stride=2, norm="bn"),
        ConvNorm(width, width, 7, norm="bn"),
        ConvNorm(width, width, 3, stride=2, norm="bn"),
    )


def from_config(section: Section) -> Trunk:
    """OpenMMLab's RSN."""
    section.fixed(num_steps=_STEPS, expand_times=26)
    blocks = section.integers("num_blocks", (2, 2, 2, 2), count=4)
    network = partial(MSPN, block=ResidualSteps, blocks=blocks, **shape(section))
    return Trunk(normed(network, batch_norm(section)), (-1,), (4,), OPENMMLAB)


OPENMMLAB = {"^backbone.multi_stage_rsn.": "backbone.multi_stage_mspn."}
"""For `Variant.mapping`: OpenMMLab's name for the stages."""
