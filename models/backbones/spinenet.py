"""SpineNet (Du et al., "SpineNet: Learning Scale-Permuted Backbone for Recognition and Localization", arXiv
1912.05027)."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm, Norm, renorm
from .resnet import BasicBlock, Bottleneck

_BLOCKS = (
    (2, True, 0, 1),
    (4, False, 0, 1),
    (3, True, 2, 3),
    (4, True, 2, 4),
    (6, False, 3, 5),
    (4, True, 3, 5),
    (5, False, 6, 7),
    (7, False, 6, 8),
    (5, True, 8, 9),
    (5, True, 8, 10),
    (4, True, 5, 10),
    (3, True, 4, 10),
    (5, True, 7, 12),
    (7, True, 5, 14),
    (6, True, 12, 14),
)
"""Level, whether a bottleneck, and the two parents, counted from the two initial blocks (table 8)."""
_OUTPUTS = 5  # the last blocks, one for each of P3 to P7
_STEM = 64
_WIDTHS = {2: 64, 3: 128}  # of levels; all coarser ones have 256
NORM_EPS = 1e-3


class SpineNet(nn.Module):
    """Image to five levels at strides 8 to 128 of equal width.

    Shapes: (n, 3, h, w), h and w multiples of 128, to five (n, channels, h / stride, w / stride). `wide` is a factor of
    all widths, `squeezed` of those between blocks, and `repeats` how often each block comes.
    """

    def __init__(self, channels: int, *, wide: float = 1.0, squeezed: float = 0.5, repeats: int = 1) -> None:
        super().__init__()
        width = partial(_width, wide=wide)
        first = width(2)
        self.channels = (channels,) * _OUTPUTS
        self.conv1 = ConvNorm(3, _STEM, 7, stride=2, norm="bn")
        self.init_block1 = nn.Sequential(_block(_STEM, first, True))
        self.init_block2 = nn.Sequential(_block(4 * first, first, True))
        made = [(2, first, 4 * first)] * 2  # level, width and channels of all blocks so far
        merges, blocks, unused = [], [], set(range(2))
        self.absorbed: list[tuple[int, ...]] = []
        for i, (level, bottleneck, *parents) in enumerate(_BLOCKS):
            out_channels = width(level) * (4 if bottleneck else 1)
            unused -= set(parents)
            taken = ()
            if i >= len(_BLOCKS) - _OUTPUTS:
                taken = tuple(k for k in sorted(unused) if (made[k][0], made[k][2]) == (level, out_channels))
            unused -= set(taken)
            unused.add(len(made))
            self.absorbed.append(taken)
            merges.append(Merge([made[k] for k in parents], level, out_channels, squeezed))
            blocks.append(nn.Sequential(*(_block(out_channels, width(level), bottleneck) for _ in range(repeats))))
            made.append((level, width(level), out_channels))
        self.merge_ops, self.scale_permuted_blocks = nn.ModuleList(merges), nn.ModuleList(blocks)
        self.endpoint_convs = nn.ModuleDict(
            {str(level): ConvNorm(out, channels, 1, norm="bn", relu=False) for level, _, out in made[-_OUTPUTS:]}
        )
        renorm(self, Norm("bn", NORM_EPS))

    def forward(self, image: Tensor) -> list[Tensor]:
        x = F.max_pool2d(self.conv1(image), 3, 2, 1)
        made = [self.init_block1(x)]
        made.append(self.init_block2(made[0]))
        steps = zip(_BLOCKS, self.merge_ops, self.scale_permuted_blocks, self.absorbed, strict=True)
        for (_, _, *parents), merge, block, taken in steps:
            x = merge([made[k] for k in parents])
            for k in taken:
                x = x + made[k]
            made.append(block(torch.relu(x)))
        ends = {str(level): x for (level, *_), x in zip(_BLOCKS, made[2:], strict=True)}
        return [self.endpoint_convs[level](ends[level]) for level in sorted(ends) if level in self.endpoint_convs]


class Merge(nn.Module):
    """The sum of two blocks' maps, each brought to the level and channels of a third."""

    def __init__(self, parents: list[tuple[int, int, int]], level: int, out_channels: int, squeezed: float) -> None:
        super().__init__()
        self.resample_ops = nn.ModuleList(
            Resample(channels, int(squeezed * width), out_channels, level - parent)
            for parent, width, channels in parents
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        first, second = (resample(x) for resample, x in zip(self.resample_ops, maps, strict=True))
        return first + second


class Resample(nn.Module):
    """Fewer channels, another size, and the channels wanted (figure 5).

    Shapes: (n, in_channels, h, w) to (n, out_channels, h / 2^steps, w / 2^steps).
    """

    def __init__(self, in_channels: int, squeezed: int, out_channels: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.squeeze_conv = ConvNorm(in_channels, squeezed, 1, norm="bn")
        self.downsample_conv = ConvNorm(squeezed, squeezed, 3, stride=2, norm="bn") if steps > 0 else nn.Identity()
        self.expand_conv = ConvNorm(squeezed, out_channels, 1, norm="bn", relu=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample_conv(self.squeeze_conv(x))
        if self.steps > 1:
            kernel = 3 if self.steps == 2 else 5
            x = F.max_pool2d(x, kernel, 2 ** (self.steps - 1), kernel // 2)
        elif self.steps < 0:
            x = F.interpolate(x, scale_factor=float(2**-self.steps))
        return self.expand_conv(x)


def _width(level: int, wide: float) -> int:
    return int(_WIDTHS.get(level, 256) * wide)


def _block(in_channels: int, width: int, bottleneck: bool) -> nn.Module:
    return (Bottleneck if bottleneck else BasicBlock)(in_channels, width, 1, "pytorch", (1, width), None)
