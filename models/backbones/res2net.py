"""Res2Net (Gao et al., "Res2Net: A New Multi-scale Backbone Architecture", arXiv 1904.01169), the form 1b: a stem of
three convolutions and shortcuts that average before they shrink."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...plugins.deform_conv.op import DeformConv
from ..config.norms import normed, trunk_norm
from ..config.parts import Trunk
from ..config.section import Section
from ..config.trunks import read_stages
from .resnet import GROUP_NORMS, Deformable, Stages, read_deformable

_BLOCKS = {14: (1, 1, 1, 1), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_SCALES = 4


class Bottle2neck(nn.Module):
    """A bottleneck whose 3x3 convolution is a cascade of three, each on a quarter of the channels (figure 2b).

    `split` is how wide a quarter is. The first block of a stage has no cascade, for its convolutions may have a stride.
    """

    def __init__(
        self, in_channels: int, width: int, split: int, stride: int, first: bool, deformable: Deformable
    ) -> None:
        super().__init__()
        conv3x3 = partial(DeformConv, modulated=deformable == "v2") if deformable else nn.Conv2d
        self.conv1 = nn.Conv2d(in_channels, _SCALES * split, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(_SCALES * split)
        self.convs = nn.ModuleList(conv3x3(split, split, 3, stride, 1, bias=False) for _ in range(_SCALES - 1))
        self.bns = nn.ModuleList(nn.BatchNorm2d(split) for _ in range(_SCALES - 1))
        self.conv3 = nn.Conv2d(_SCALES * split, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module = nn.Identity()
        if first:
            # A last window that is cut off has a mean of what there is.
            pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            layers = nn.Conv2d(in_channels, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
            self.downsample = nn.Sequential(pool, *layers)
        self.first, self.stride = first, stride

    def forward(self, x: Tensor) -> Tensor:
        *parts, last = torch.relu(self.bn1(self.conv1(x))).chunk(_SCALES, 1)
        done: list[Tensor] = []
        for part, conv, norm in zip(parts, self.convs, self.bns, strict=True):
            done.append(torch.relu(norm(conv(part + done[-1] if done and not self.first else part))))
        if self.first and self.stride > 1:
            last = F.avg_pool2d(last, 3, self.stride, 1)
        out = self.bn3(self.conv3(torch.cat((*done, last), 1)))
        return torch.relu(out + self.downsample(x))


class Res2Net(nn.Module):
    """Image to four levels C2..C5 at strides 4, 8, 16, 32.

    Shapes: (n, 3, h, w) to four (n, channels[i], ceil(h / stride), ceil(w / stride)). `width` is the stem's number of
    channels, `split` how wide a part of the first stage's cascades is, `deformable` as for ResNet.
    """

    def __init__(
        self, depth: int, *, width: int = 64, split: int = 26, deformable: Stages = (None, None, None, None)
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_step(3, width // 2, 2), *_step(width // 2, width // 2), *_step(width // 2, width))
        in_channels = width
        for i, count in enumerate(_BLOCKS[depth]):
            blocks: list[nn.Module] = []
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(Bottle2neck(in_channels, width << i, split << i, stride, j == 0, deformable[i]))
                in_channels = 4 * (width << i)
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.channels = tuple(4 * (width << i) for i in range(4))

    def forward(self, image: Tensor) -> list[Tensor]:
        x = F.max_pool2d(self.stem(image), 3, 2, 1)
        levels: list[Tensor] = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            levels.append(x)
        return levels


def _step(in_channels: int, channels: int, stride: int = 1) -> tuple[nn.Module, nn.Module, nn.Module]:
    return nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()


R2_101 = partial(Res2Net, 101)
TINY_RES2NET = partial(Res2Net, 14, width=8, split=4)


def from_config(section: Section) -> Trunk:
    """OpenMMLab's Res2Net."""
    depth, width = (
        section.choice("depth", {depth: depth for depth in (50, 101, 152)}),
        section.integer("base_channels", 64),
    )
    section.fixed(in_channels=3, stem_channels=width, num_stages=4, strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1))
    section.fixed(scales=_SCALES, style="pytorch", deep_stem=True, avg_down=True, plugins=None, conv_cfg=None)
    levels, split = read_stages(section, (0, 1, 2, 3)), section.integer("base_width", 26)
    network = partial(Res2Net, depth, width=width, split=split, deformable=read_deformable(section, depth))
    strides = tuple(4 << level for level in levels)
    return Trunk(normed(network, trunk_norm(section)), levels, strides, GROUP_NORMS)
