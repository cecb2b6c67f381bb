"""ConvNeXt (Liu et al., "A ConvNet for the 2020s", arXiv 2201.03545), named as mmpretrain names it."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ..config.parts import Trunk
from ..config.section import Section
from ..config.trunks import check_activation, read_stages

_EPS = 1e-6


class ChannelNorm(nn.LayerNorm):
    """Layer norm along the channels of a map (n, c, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """A depthwise 7x7 convolution, then four times as many channels and back, around a shortcut (figure 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise_conv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, _EPS)
        self.pointwise_conv1, self.pointwise_conv2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.act = nn.GELU()
        self.gamma = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        rows = self.norm(self.depthwise_conv(x).permute(0, 2, 3, 1))
        rows = self.pointwise_conv2(self.act(self.pointwise_conv1(rows))) * self.gamma
        return x + rows.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """Image to four levels at strides 4, 8, 16, 32.

    Shapes: (n, 3, h, w), h and w multiples of 32, to four (n, channels[i], h / stride, w / stride). `layers` counts the
    blocks of each stage, whose width doubles from `width` on. Only the levels in `outputs` are normalised.
    """

    def __init__(
        self, layers: Sequence[int] = (3, 3, 9, 3), *, width: int = 96, outputs: Sequence[int] = (0, 1, 2, 3)
    ) -> None:
        super().__init__()
        self.channels = tuple(width << i for i in range(len(layers)))
        stem = nn.Sequential(nn.Conv2d(3, width, 4, 4), ChannelNorm(width, _EPS))
        steps = (
            nn.Sequential(ChannelNorm(c, _EPS), nn.Conv2d(c, out, 2, 2))
            for c, out in zip(self.channels, self.channels[1:], strict=False)
        )
        self.downsample_layers = nn.ModuleList([stem, *steps])
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNeXtBlock(c) for _ in range(count)))
            for c, count in zip(self.channels, layers, strict=True)
        )
        for i in outputs:
            setattr(self, f"norm{i}", ChannelNorm(self.channels[i], _EPS))

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image
        levels: list[Tensor] = []
        for i, (downsample, stage) in enumerate(zip(self.downsample_layers, self.stages, strict=True)):
            x = stage(downsample(x))
            levels.append(getattr(self, f"norm{i}")(x) if hasattr(self, f"norm{i}") else x)
        return levels


_SIZES = {"tiny": ((3, 3, 9, 3), 96), "small": ((3, 3, 27, 3), 96), "base": ((3, 3, 27, 3), 128)}
_SIZES |= {"large": ((3, 3, 27, 3), 192), "xlarge": ((3, 3, 27, 3), 256)}


def _sized(size: str) -> partial[ConvNeXt]:
    layers, width = _SIZES[size]
    return partial(ConvNeXt, layers, width=width)


CONVNEXT_T, CONVNEXT_S = _sized("tiny"), _sized("small")
TINY_CONVNEXT = partial(ConvNeXt, (1, 1, 1, 1), width=8)


def from_config(section: Section) -> Trunk:
    """The ConvNeXt of mmpretrain and mmcls."""
    section.training("drop_path_rate", "layer_scale_init_value")
    section.fixed(in_channels=3, stem_patch_size=4, gap_before_final_norm=False, linear_pw_conv=True, use_grn=False)
    check_activation(section, "GELU")
    if norm := section.section("norm_cfg"):
        norm.typed("LN2d")
        norm.fixed(eps=_EPS)
    outputs = read_stages(section, (3,))
    network = partial(section.choice("arch", {size: _sized(size) for size in _SIZES}, "tiny"), outputs=outputs)
    return Trunk(network, outputs, tuple(4 << level for level in outputs))
