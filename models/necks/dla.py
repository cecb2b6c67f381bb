"""The upsampling of CenterNet's DLA-34 (Zhou et al., arXiv 1904.07850, section 5), with its authors' key names."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..blocks import ConvNorm


class IterativeUpsample(nn.Module):
    """Iterative deep aggregation: coarser maps are upsampled to the size of the first and merged into it one by one.

    Shapes: maps (n, in_channels[i], h / factors[i], w / factors[i]) to as many (n, channels, h, w): the first one
    unchanged, and the result of each step.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, factors: Sequence[int]) -> None:
        super().__init__()
        self.steps = len(in_channels) - 1
        for i in range(1, len(in_channels)):
            factor = factors[i]
            setattr(self, f"proj_{i}", _deformable(in_channels[i], channels))
            setattr(self, f"node_{i}", _deformable(channels, channels))
            up = nn.ConvTranspose2d(channels, channels, 2 * factor, factor, factor // 2, groups=channels, bias=False)
            with torch.no_grad():
                up.weight.copy_(_bilinear(factor))
            setattr(self, f"up_{i}", up)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        merged = [maps[0]]
        for i in range(1, self.steps + 1):
            up = getattr(self, f"up_{i}")(getattr(self, f"proj_{i}")(maps[i]))
            height, width = maps[0].shape[2:]  # Twice a side that was rounded up is one pixel too large.
            merged.append(getattr(self, f"node_{i}")(up[:, :, :height, :width] + merged[-1]))
        return merged


class DLANeck(nn.Module):
    """Levels at strides 1 to 32 to one map at stride 4, with that level's channels.

    `dla_up` refines the levels, coarsest first. Then `ida_up` merges those at strides 4, 8 and 16.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        used = list(channels[2:])
        self.dla_up = nn.ModuleDict()
        for i in range(len(used) - 1):
            first = len(used) - 2 - i
            # The result of the previous step has the width and the size of its first map.
            widths = used[first : first + 1] + [used[first + 1]] * (i + 1)
            self.dla_up[f"ida_{i}"] = IterativeUpsample(widths, used[first], [1] + [2] * (i + 1))
        self.ida_up = IterativeUpsample(used[:3], used[0], (1, 2, 4))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        maps = [levels[-1]]
        refined = [levels[-1]]
        for level, step in zip(levels[-2:1:-1], self.dla_up.values(), strict=True):
            maps = step([level, *maps])
            refined.insert(0, maps[-1])
        return self.ida_up(refined[:3])[-1]


def _deformable(in_channels: int, channels: int) -> ConvNorm:
    return ConvNorm(in_channels, channels, 3, norm="bn", bias=True, deformable=True)


def _bilinear(factor: int) -> Tensor:
    """The kernel (2f, 2f) of a transposed convolution that interpolates bilinearly, for initialisation."""
    ramp = 1 - (torch.arange(2 * factor) + 0.5 - factor).abs() / factor
    return ramp[:, None] * ramp
