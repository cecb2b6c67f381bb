"""ShuffleNet V2 (Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", arXiv
1807.11164)."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section
from ..config.trunks import check_activation, read_stages

_WIDTHS = {0.5: (48, 96, 192), 1.0: (116, 232, 464), 1.5: (176, 352, 704), 2.0: (244, 488, 976)}
_BLOCKS = (4, 8, 4)
_STRIDES = (8, 16, 32, 32)
Activation = Callable[[], nn.Module]
LEAKY: Activation = partial(nn.LeakyReLU, 0.1)
"""NanoDet's activation."""


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, depthwise: bool = False) -> nn.Conv2d:
    groups = in_channels if depthwise else 1
    return nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)


class ShuffleBlock(nn.Module):
    """A branch on one half of the channels; with `stride` 2, branches make both halves (figure 3, c and d).

    Shapes: (n, in_channels, h, w) to (n, channels, ceil(h / stride), ceil(w / stride)). `kernel` is that of the
    depthwise convolutions.
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int, activation: Activation = nn.ReLU, kernel: int = 3
    ) -> None:
        super().__init__()
        half, self.stride = channels // 2, stride
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(
                _conv(in_channels, in_channels, kernel, stride, depthwise=True),
                nn.BatchNorm2d(in_channels),
                _conv(in_channels, half, 1),
                nn.BatchNorm2d(half),
                activation(),
            )
        self.branch2 = nn.Sequential(
            _conv(in_channels if stride > 1 else half, half, 1),
            nn.BatchNorm2d(half),
            activation(),
            _conv(half, half, kernel, stride, depthwise=True),
            nn.BatchNorm2d(half),
            _conv(half, half, 1),
            nn.BatchNorm2d(half),
            activation(),
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = (x, x) if self.stride > 1 else x.chunk(2, 1)
        both = torch.stack((self.branch1(kept), self.branch2(changed)), 2)
        return both.flatten(1, 2)  # Channel shuffle: the channels of both halves alternate.


class StageTrunk(nn.Module):
    """A stem and max pooling, then stages of which each gives a level. The stem is the first child."""

    def forward(self, image: Tensor) -> list[Tensor]:
        first, *stages = self.children()
        x = F.max_pool2d(first(image), 3, 2, 1)
        levels: list[Tensor] = []
        for stage in stages:
            x = stage(x)
            levels.append(x)
        return levels


class ShuffleNetV2(StageTrunk):
    """Image to three levels at strides 8, 16, 32, and with a `last` convolution to a fourth, of so many channels.

    Shapes: (n, 3, h, w) to (n, channels[i], ceil(h / stride), ceil(w / stride)); `wide` is 0.5, 1, 1.5 or 2.
    """

    def __init__(self, *, wide: float = 1.0, activation: Activation = nn.ReLU, last: int | None = None) -> None:
        super().__init__()
        in_channels, widths = 24, _WIDTHS[wide]
        self.conv1 = nn.Sequential(_conv(3, in_channels, 3, 2), nn.BatchNorm2d(in_channels), activation())
        for i, (width, count) in enumerate(zip(widths, _BLOCKS, strict=True), 2):
            blocks = [ShuffleBlock(in_channels, width, 2, activation)]
            blocks += [ShuffleBlock(width, width, 1, activation) for _ in range(count - 1)]
            setattr(self, f"stage{i}", nn.Sequential(*blocks))
            in_channels = width
        if last:
            self.conv5 = nn.Sequential(_conv(in_channels, last, 1), nn.BatchNorm2d(last), activation())
        self.channels = (*widths, last) if last else widths


OPENMMLAB = {
    "^backbone.conv1.conv.": "backbone.conv1.0.",
    "^backbone.conv1.bn.": "backbone.conv1.1.",
    **{f"^backbone.layers.{i}.": f"backbone.stage{i + 2}." for i in range(3)},
    "^backbone.layers.3.conv.": "backbone.conv5.0.",
    "^backbone.layers.3.bn.": "backbone.conv5.1.",
    **{f".branch1.{i}.{part}.": f".branch1.{2 * i + j}." for i in (1, 0) for j, part in ((1, "bn"), (0, "conv"))},
    **{
        f".branch2.{i}.{part}.": f".branch2.{at + j}."
        for i, at in ((2, 5), (1, 3), (0, 0))
        for j, part in ((1, "bn"), (0, "conv"))
    },
}
"""For `Variant.mapping`: OpenMMLab's names of the layers."""


def last_width(wide: float) -> int:
    """The channels of the paper's last convolution (table 5)."""
    return 2048 if wide == 2.0 else 1024


def from_config(section: Section) -> Trunk:
    """OpenMMLab's ShuffleNetV2."""
    section.fixed(conv_cfg=None)
    check_activation(section, "ReLU")
    levels = read_stages(section, (3,))
    wide = section.choice("widen_factor", {wide: wide for wide in _WIDTHS}, 1.0)
    network = partial(ShuffleNetV2, wide=wide, last=last_width(wide))
    return Trunk(normed(network, batch_norm(section)), levels, tuple(_STRIDES[i] for i in levels), OPENMMLAB)
