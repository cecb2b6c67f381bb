"""Scale-equalizing pyramid convolution (Wang et al., "Scale-Equalizing Pyramid Convolution for Object Detection", arXiv
2005.03101)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...plugins.deform_conv.op import DeformConv

Pairs = list[tuple[Tensor, Tensor]]


class SEPC(nn.Module):
    """Pyramid levels to a pair of maps each, for classes and for boxes, by `depth` convolutions in space and scale.

    Shapes: (n, channels, h, w) each to two (n, channels, h, w), of which the last two rows and columns are 0: the
    authors' last convolutions have no padding. `norms` are batch norms that all levels share. Deformable are the
    `pyramid` convolutions and the `last` ones, on all levels but the finest.
    """

    def __init__(
        self, channels: int, *, depth: int = 4, norms: bool = True, pyramid: bool = False, last: bool = True
    ) -> None:
        super().__init__()
        self.Pconvs = nn.ModuleList(PyramidConv(channels, norm=norms, deformable=pyramid) for _ in range(depth))
        self.lconv, self.cconv = (_convolution(channels, deformable=last, padding=0) for _ in range(2))
        self.lbn, self.cbn = (nn.BatchNorm2d(channels) if norms else nn.Identity() for _ in range(2))

    def forward(self, levels: Sequence[Tensor]) -> Pairs:
        for convolution in self.Pconvs:
            levels = convolution(levels)
        pairs: Pairs = []
        for i, x in enumerate(levels):
            wide = F.pad(x, (0, 2, 0, 2))
            classes, boxes = self.cbn(_apply(self.cconv, wide, i)), self.lbn(_apply(self.lconv, wide, i))
            mask = held(x)
            pairs.append((torch.relu(classes) * mask, torch.relu(boxes) * mask))
        return pairs


class PyramidConv(nn.Module):
    """A 3x3x3 convolution over a pyramid: each level from itself and its neighbours (section 3.1).

    Shapes: levels (n, channels, h, w) to the same.
    """

    def __init__(self, channels: int, *, norm: bool, deformable: bool) -> None:
        super().__init__()
        self.Pconv = nn.ModuleList(
            _convolution(channels, deformable=deformable, stride=stride) for stride in (1, 1, 2)
        )  # from the coarser level, the same, and the finer one
        self.bn = nn.BatchNorm2d(channels) if norm else nn.Identity()

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        coarser, same, finer = self.Pconv
        outputs: list[Tensor] = []
        for i, x in enumerate(levels):
            out = _apply(same, x, i)
            if i > 0:
                out = out + _apply(finer, levels[i - 1], i)
            if i < len(levels) - 1:
                up = _apply(coarser, levels[i + 1], i)
                out = out + F.interpolate(up, size=out.shape[2:], mode="bilinear", align_corners=True)
            outputs.append(torch.relu(self.bn(out)))
        return outputs


def held(like: Tensor) -> Tensor:
    """1 for the valid cells of a map (n, c, h, w), 0 for the last two rows and columns: (h, w)."""
    rows, columns = (torch.arange(side, device=like.device) < side - 2 for side in like.shape[2:])
    return (rows[:, None] & columns).to(like.dtype)


def _convolution(channels: int, *, deformable: bool, stride: int = 1, padding: int = 1) -> nn.Module:
    return (DeformConv if deformable else nn.Conv2d)(channels, channels, 3, stride, padding)


def _apply(convolution: nn.Module, x: Tensor, level: int) -> Tensor:
    """The convolution for the given level; the finest one takes it as a plain one with the same weights."""
    if level > 0:
        return convolution(x)
    return F.conv2d(x, convolution.weight, convolution.bias, convolution.stride, convolution.padding)
