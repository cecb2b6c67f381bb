"""ResNet (He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385), its grouped form ResNeXt
(Xie et al., "Aggregated Residual Transformations for Deep Neural Networks", arXiv 1611.05431), and ResNet-D's tweaks
(He et al., "Bag of Tricks for Image Classification", arXiv 1812.01187)."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...plugins.deform_conv.op import DeformConv
from ..blocks import renorm
from ..config.norms import trunk_norm
from ..config.parts import Trunk
from ..config.section import Section
from ..config.trunks import read_stages

Style = Literal["pytorch", "caffe"]
Deformable = Literal["v1", "v2"] | None
"""Whether 3x3 convolutions are deformable: v1 (Dai et al., arXiv 1703.06211), modulated v2 (Zhu et al., 1811.11168)."""
Stages = tuple[Deformable, Deformable, Deformable, Deformable]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (figure 5, left)."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int, style: Style, groups: tuple[int, int], deformable: Deformable
    ) -> None:
        super().__init__()
        if deformable or groups[0] > 1:
            raise ValueError("a basic block has no deformable and no grouped form; use depth 50 or more")
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(out)) + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut (figure 5, right).

    The 3x3 has the stride in the "pytorch" style, the first 1x1 in the "caffe" style. `groups` is the number of groups
    in the 3x3 and the width of each.
    """

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, style: Style, groups: tuple[int, int], deformable: Deformable
    ) -> None:
        super().__init__()
        stride1, stride2 = (stride, 1) if style == "caffe" else (1, stride)
        conv3x3 = partial(DeformConv, modulated=deformable == "v2") if deformable else nn.Conv2d
        inner = groups[0] * groups[1]
        self.conv1 = nn.Conv2d(in_channels, inner, 1, stride1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = conv3x3(inner, inner, 3, stride2, 1, groups=groups[0], bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(in_channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.residual(x) + self.downsample(x))

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the shortcut."""
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        return self.bn3(self.conv3(out))


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


_DEPTHS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    10: (BasicBlock, (1, 1, 1, 1)),
    14: (Bottleneck, (1, 1, 1, 1)),
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
    200: (Bottleneck, (3, 24, 36, 3)),
    269: (Bottleneck, (3, 30, 48, 8)),
}


class ResNet(nn.Module):
    """Image to four levels C2..C5 at strides 4, 8, 16, 32.

    Shapes: (n, 3, h, w) to four (n, channels[i], ceil(h / stride), ceil(w / stride)).
    `width` is the number of channels of the stem (64 in the paper). `groups` makes a ResNeXt: the number of groups and
    their width in the first stage, so (32, 4) is 32x4d. `deformable` holds one form per stage, and `norm_eps` is added
    to variances. With `deep_stem`, three 3x3 convolutions replace the 7x7 one. `stem` is another number of channels of
    the stem, and `block` another kind of bottleneck.
    """

    def __init__(
        self,
        depth: int,
        *,
        width: int = 64,
        style: Style = "pytorch",
        groups: tuple[int, int] | None = None,
        deformable: Stages = (None, None, None, None),
        norm_eps: float = 1e-5,
        deep_stem: bool = False,
        stem: int | None = None,
        block: Callable[..., Bottleneck] | None = None,
    ) -> None:
        super().__init__()
        usual, counts = _DEPTHS[depth]
        block, expansion = block or usual, usual.expansion
        count_groups, group_width = groups or (1, width)
        in_channels = stem or width
        if deep_stem:
            self.stem = _deep_stem(in_channels)
        else:
            self.conv1 = nn.Conv2d(3, in_channels, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(in_channels)
        for i, count in enumerate(counts):
            blocks: list[nn.Module] = []
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                wide = (count_groups, group_width << i)
                blocks.append(block(in_channels, width << i, stride, style, wide, deformable[i]))
                in_channels = (width << i) * expansion
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = norm_eps
        self.channels = tuple((width << i) * expansion for i in range(4))

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.stem(image) if hasattr(self, "stem") else torch.relu(self.bn1(self.conv1(image)))
        x = self.pool(x)
        levels: list[Tensor] = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            levels.append(x)
        return levels

    def pool(self, x: Tensor) -> Tensor:
        """Halve the size of the stem's map."""
        return F.max_pool2d(x, 3, 2, 1)


def _deep_stem(width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for in_channels, channels, stride in ((3, width // 2, 2), (width // 2, width // 2, 1), (width // 2, width, 1)):
        layers += [nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers)


def averaged_shortcuts(backbone: ResNet, *, least: int = 2) -> ResNet:
    """The network with shortcuts that downsample by average pooling instead of striding (ResNet-D, figure 2c).

    Shortcuts with a stride below `least` are unchanged. Averaging one pixel would only change the number of a layer.
    """
    for block in backbone.modules():
        if isinstance(block, BasicBlock | Bottleneck) and isinstance(block.downsample, nn.Sequential):
            convolution, norm = block.downsample
            stride = convolution.stride[0]
            if stride < least:
                continue
            convolution.stride = (1, 1)
            pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            block.downsample = nn.Sequential(pool, convolution, norm)
    return backbone


def atrous(backbone: ResNet, stride: int, *, early: bool = False) -> ResNet:
    """The network without levels coarser than `stride`: dilation replaces further downsampling.

    Every second (fourth) pixel equals the original output (Chen et al., arXiv 1606.00915, section 3.1). With `early`
    the first convolution of a stage is dilated like the others, which changes its output.
    """
    reached, gap = 4, 1
    for stage in (backbone.layer2, backbone.layer3, backbone.layer4):
        halves = reached < stride
        if early and not halves:
            gap *= 2
        for i, block in enumerate(stage):
            for convolution in block.modules():
                if isinstance(convolution, nn.Conv2d) and not halves:
                    convolution.stride = (1, 1)
                    if convolution.kernel_size == (3, 3):
                        convolution.dilation = convolution.padding = (gap, gap)
            if i == 0:
                reached, gap = (2 * reached, gap) if halves else (reached, gap if early else 2 * gap)
    return backbone


def grouped_offsets(backbone: ResNet, groups: int) -> ResNet:
    """The network whose deformable convolutions have offsets of their own for each of `groups` groups of channels."""
    for module in backbone.modules():
        if isinstance(module, DeformConv):
            one = module.conv_offset
            module.offset_groups = groups
            module.conv_offset = nn.Conv2d(
                one.in_channels, groups * one.out_channels, one.kernel_size, one.stride, one.padding
            )
            nn.init.zeros_(module.conv_offset.weight)
            nn.init.zeros_(module.conv_offset.bias)
    return backbone


Backbone = Callable[..., ResNet]
R18, R34, R50, R101, R152 = (partial(ResNet, depth) for depth in (18, 34, 50, 101, 152))
R50_CAFFE, R101_CAFFE = partial(R50, style="caffe"), partial(R101, style="caffe")
X101_32X4D, X101_64X4D = partial(R101, groups=(32, 4)), partial(R101, groups=(64, 4))
TINY, TINY_BOTTLENECKS = partial(ResNet, 10, width=8), partial(ResNet, 14, width=8)

# The usual deformable stages: all but the first.
DCN_C3_C5: Stages = (None, "v1", "v1", "v1")
DCN_C4_C5: Stages = (None, None, "v1", "v1")
DCN_V2_C3_C5: Stages = (None, "v2", "v2", "v2")
DCN_V2_C4_C5: Stages = (None, None, "v2", "v2")


def from_config(
    section: Section, depths: tuple[int, ...] = (18, 34, 50, 101, 152), block: Callable[..., Bottleneck] | None = None
) -> Trunk:
    """OpenMMLab's ResNet, ResNetV1c, ResNetV1d and ResNeXt, of one of the `depths`; `block` is that of ResNet."""
    depth = section.choice("depth", {depth: depth for depth in depths})
    width = section.integer("base_channels", 64)
    stages = section.integer("num_stages", 4, least=3, most=4)
    section.fixed(in_channels=3, contract_dilation=False, plugins=None, expansion=None, conv_cfg=None)
    section.same("strides", (1, 2, 2, 2)[:stages], (1, 2, 2, 2))
    section.same("dilations", (1,) * stages, (1,) * 4)
    levels = read_stages(section, (0, 1, 2, 3), range(stages))
    averaged = section.flag("avg_down", section.type == "ResNetV1d")
    norm = trunk_norm(section)
    in_mmpose = section.text("_scope_", "mmdet") == "mmpose"
    network = partial(
        ResNet,
        depth,
        width=width,
        style=section.choice("style", {"pytorch": "pytorch", "caffe": "caffe"}, "pytorch"),
        groups=_groups(section, in_mmpose),
        deformable=read_deformable(section, depth),
        deep_stem=section.flag("deep_stem", section.type in ("ResNetV1c", "ResNetV1d")),
        stem=section.integer("stem_channels", 64 if in_mmpose else width),
        block=block,
    )

    def build() -> nn.Module:
        backbone = network()
        if stages == 3:
            backbone.layer4 = nn.Identity()  # which is the second stage's
        return renorm(averaged_shortcuts(backbone, least=1 + in_mmpose) if averaged else backbone, norm)

    return Trunk(build, levels, tuple(4 << level for level in levels), GROUP_NORMS | (MMPOSE_STEM if in_mmpose else {}))


GROUP_NORMS = {f".gn{i}.": f".bn{i}." for i in (1, 2, 3)}
"""For `Variant.mapping`: the network has one name for every kind of normalisation."""

MMPOSE_STEM = {
    **{f"^backbone.stem.{i}.conv.": f"backbone.stem.{3 * i}." for i in range(3)},
    **{f"^backbone.stem.{i}.bn.": f"backbone.stem.{3 * i + 1}." for i in range(3)},
}
"""For `Variant.mapping`: mmpose's names of a deep stem's layers; mmdet has one flat sequence."""


def _groups(section: Section, in_mmpose: bool) -> tuple[int, int] | None:
    """The number of groups and their width in the first stage, by the keys of mmdet or mmpose."""
    if section.type != "ResNeXt":
        return None
    groups = section.integer("groups", 32 if in_mmpose else 1)
    width = section.integer("width_per_group" if in_mmpose else "base_width", 4)
    return None if groups == 1 else (groups, width)


def read_deformable(section: Section, depth: int) -> Stages:
    """Read `dcn` and `stage_with_dcn`: the deformable form of each stage."""
    stages = section.flags("stage_with_dcn", (False,) * 4, count=4)
    dcn = section.section("dcn")
    if dcn is None:
        return (None, None, None, None)
    form: Deformable = "v1" if dcn.typed("DCN", "DCNv2") == "DCN" else "v2"
    dcn.fixed(deform_groups=1, deformable_groups=1, fallback_on_stride=False)
    if depth < 50:
        section.refuse("dcn", "None for depth 18 and 34")
    first, second, third, fourth = (form if on else None for on in stages)
    return (first, second, third, fourth)
