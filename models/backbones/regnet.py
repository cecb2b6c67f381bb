"""RegNetX (Radosavovic et al., "Designing Network Design Spaces", arXiv 2003.13678)."""

import math
from functools import partial
from itertools import groupby

import torch
from torch import Tensor, nn

from ..config.norms import normed, trunk_norm
from ..config.parts import Trunk
from ..config.section import Section
from ..config.trunks import read_stages
from .resnet import GROUP_NORMS

_STEM = 32


class RegNetBlock(nn.Module):
    """1x1, grouped 3x3 and 1x1 convolutions of one width, around a shortcut."""

    def __init__(self, in_channels: int, width: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1:
            layers = nn.Conv2d(in_channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            self.downsample = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        return torch.relu(self.bn3(self.conv3(out)) + self.downsample(x))


class RegNet(nn.Module):
    """Image to four levels at strides 4, 8, 16, 32.

    Shapes: (n, 3, h, w) to four (n, channels[i], ceil(h / stride), ceil(w / stride)). Block k's width is
    `first` + k * `slope`, brought to the nearest `first` * `factor`^i and to multiples of 8 and of `group`, the width
    of the groups (equations 2 to 4).
    """

    def __init__(self, *, first: float, slope: float, factor: float, group: int, depth: int) -> None:
        super().__init__()
        widths = [_width(first + k * slope, first, factor) for k in range(depth)]
        self.conv1 = nn.Conv2d(3, _STEM, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM)
        in_channels, channels = _STEM, []
        for i, (width, blocks) in enumerate(groupby(widths), 1):
            size = min(group, width)
            width = round(width / size) * size
            stage: list[nn.Module] = []
            for _ in blocks:
                stage.append(RegNetBlock(in_channels, width, 1 if stage else 2, width // size))
                in_channels = width
            channels.append(width)
            setattr(self, f"layer{i}", nn.Sequential(*stage))
        self.channels = tuple(channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = torch.relu(self.bn1(self.conv1(image)))
        levels: list[Tensor] = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            levels.append(x)
        return levels


def _width(wanted: float, first: float, factor: float) -> int:
    step = round(math.log(wanted / first) / math.log(factor))
    return round(first * factor**step / 8) * 8


_KEYS = ("first", "slope", "factor", "group", "depth")
_SIZES = {
    "400mf": (24, 24.48, 2.54, 16, 22),
    "800mf": (56, 35.73, 2.28, 16, 16),
    "1.6gf": (80, 34.01, 2.25, 24, 18),
    "3.2gf": (88, 26.31, 2.25, 48, 25),
    "4.0gf": (96, 38.65, 2.43, 40, 23),
    "6.4gf": (184, 60.83, 2.07, 56, 17),
    "8.0gf": (80, 49.56, 2.88, 120, 23),
    "12gf": (168, 73.36, 2.37, 112, 19),
}
"""The arguments of RegNetX by its multiply-adds (table 6 of the paper)."""


def _regnet(size: str) -> partial[RegNet]:
    return partial(RegNet, **dict(zip(_KEYS, _SIZES[size], strict=True)))


X_800MF, X_1_6GF, X_3_2GF = _regnet("800mf"), _regnet("1.6gf"), _regnet("3.2gf")
TINY_REGNET = partial(RegNet, first=8, slope=24, factor=2.0, group=8, depth=5)


def from_config(section: Section) -> Trunk:
    """OpenMMLab's RegNet."""
    section.fixed(in_channels=3, stem_channels=_STEM, base_channels=_STEM, strides=(2, 2, 2, 2), style="pytorch")
    section.fixed(dilations=(1, 1, 1, 1), deep_stem=False, avg_down=False, plugins=None, conv_cfg=None, dcn=None)
    section.training("stage_with_dcn")  # says nothing without dcn
    levels = read_stages(section, (0, 1, 2, 3))
    if section.is_dict("arch"):
        network = _searched(section.section("arch") or section.refuse("arch", "a dict"))
    else:
        network = section.choice("arch", {f"regnetx_{size}": _regnet(size) for size in _SIZES})
    strides = tuple(4 << level for level in levels)
    return Trunk(normed(network, trunk_norm(section)), levels, strides, GROUP_NORMS)


def _searched(arch: Section) -> partial[RegNet]:
    """The network of an `arch` with its own numbers."""
    arch.fixed(bot_mul=1.0)
    numbers = {"first": arch.number("w0"), "slope": arch.number("wa"), "factor": arch.number("wm")}
    for key, name in (("w0", "first"), ("wm", "factor")):
        if numbers[name] <= 1:
            arch.refuse(key, "a number above 1")
    return partial(RegNet, **numbers, group=arch.integer("group_w"), depth=arch.integer("depth", most=256))
