"""Backbones of CSP layers: YOLOX' CSPDarknet (Ge et al., arXiv 2107.08430), RTMDet's CSPNeXt (Lyu et al., arXiv
2212.07784, section 3.2)."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ..blocks import ConvAct, Norm
from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section
from ..config.trunks import check_activation, read_stages
from ..csp import Convolution, CSPLayer, CSPNeXtBlock, DarknetBlock, Separable, SpatialPyramid

_CHANNELS = (64, 128, 256, 512, 1024)
_SIX_CHANNELS = (64, 128, 256, 512, 768, 1024)


class CSPBackbone(nn.Module):
    """Image to the selected levels at strides 4, 8, 16 and 32, and with five numbers of `blocks` at 64 too.

    Shapes: (n, 3, h, w) to (n, channels[i], ceil(h / stride), ceil(w / stride)) each. `deep` and `wide` are factors of
    the large network's number of blocks and channels. `stem` halves the image; `block` builds a block from its
    channels, and `conv` the layers that halve a level. Subclasses say what these are.
    """

    def __init__(
        self,
        stem: nn.Module,
        blocks: Sequence[int],
        *,
        deep: float,
        wide: float,
        block: Callable[..., nn.Module],
        conv: Convolution,
        attention: bool,
        levels: Sequence[int],
    ) -> None:
        super().__init__()
        in_channels, *channels = (int(c * wide) for c in (_CHANNELS if len(blocks) == 4 else _SIX_CHANNELS))
        self.stem, self.levels, self.stages = stem, tuple(levels), len(blocks)
        for i, (width, count) in enumerate(zip(channels, blocks, strict=True), 1):
            is_last = i == len(blocks)
            pyramid = [SpatialPyramid(width)] if is_last else []
            csp = CSPLayer(
                width,
                width,
                max(round(count * deep), 1),
                block=partial(block, shortcut=not is_last),
                attention=attention,
            )
            setattr(self, f"stage{i}", nn.Sequential(conv(in_channels, width, 3, stride=2), *pyramid, csp))
            in_channels = width
        self.channels = tuple(channels[i] for i in levels)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.stem(image)
        outputs: list[Tensor] = []
        for i in range(self.stages):
            x = getattr(self, f"stage{i + 1}")(x)
            outputs.append(x)
        return [outputs[i] for i in self.levels]


class CSPDarknet(CSPBackbone):
    """YOLOX' backbone; `depthwise` makes its 3x3 convolutions separable, `six` adds a stage."""

    def __init__(
        self,
        *,
        deep: float = 1.0,
        wide: float = 1.0,
        depthwise: bool = False,
        six: bool = False,
        levels: Sequence[int] = (1, 2, 3),
    ) -> None:
        conv = Separable if depthwise else ConvAct
        super().__init__(
            Focus(int(_CHANNELS[0] * wide)),
            (3, 9, 9, 3, 3) if six else (3, 9, 9, 3),
            deep=deep,
            wide=wide,
            block=partial(DarknetBlock, conv=conv),
            conv=conv,
            attention=False,
            levels=levels,
        )


class CSPNeXt(CSPBackbone):
    """RTMDet's and RTMPose's backbone; `depthwise` makes its 3x3 convolutions separable, `six` adds a stage."""

    def __init__(
        self,
        *,
        deep: float = 1.0,
        wide: float = 1.0,
        depthwise: bool = False,
        six: bool = False,
        levels: Sequence[int] = (1, 2, 3),
    ) -> None:
        first, half = int(_CHANNELS[0] * wide), int(_CHANNELS[0] * wide // 2)
        conv = Separable if depthwise else ConvAct
        super().__init__(
            nn.Sequential(ConvAct(3, half, 3, stride=2), ConvAct(half, half, 3), ConvAct(half, first, 3)),
            (3, 6, 6, 3, 3) if six else (3, 6, 6, 3),
            deep=deep,
            wide=wide,
            block=partial(CSPNeXtBlock, conv=conv),
            conv=conv,
            attention=True,
            levels=levels,
        )


class Focus(nn.Module):
    """Image (n, 3, h, w) to (n, channels, h / 2, w / 2): every 2x2 px become one of 12 channels, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvAct(12, channels, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(torch.cat([image[..., y::2, x::2] for x in (0, 1) for y in (0, 1)], 1))


def from_config(section: Section) -> Trunk:
    """OpenMMLab's CSPNeXt and CSPDarknet."""
    is_next = section.type == "CSPNeXt"
    six = section.choice("arch", {"P5": False, "P6": True}, "P5")
    section.fixed(arch_ovewrite=None, conv_cfg=None)
    if is_next:
        section.fixed(expand_ratio=0.5, spp_kernel_sizes=(5, 9, 13), channel_attention=True)
    else:
        section.fixed(spp_kernal_sizes=(5, 9, 13))
    check_activation(section, "SiLU", "Swish")
    stages = read_stages(section, (2, 3, 4), (1, 2, 3, 4, 5) if six else (1, 2, 3, 4))
    network = partial(
        CSPNeXt if is_next else CSPDarknet,
        deep=section.factor("deepen_factor"),
        wide=section.factor("widen_factor"),
        depthwise=section.flag("use_depthwise", False),
        six=six,
        levels=tuple(stage - 1 for stage in stages),
    )
    build = normed(network, batch_norm(section, Norm("bn", 1e-3)))
    return Trunk(build, tuple(range(len(stages))), tuple(2 << stage for stage in stages))
