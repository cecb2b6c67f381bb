"""The balanced feature pyramid of Libra R-CNN (Pang et al., arXiv 1904.02701, section 3.2)."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm
from ..config.parts import Neck
from ..config.section import Section
from ..pooling import adaptive_max


class BalancedPyramid(nn.Module):
    """Pyramid levels to the same levels, each plus a refined mean of all.

    Shapes: (n, channels, h, w) each to the same. The mean is taken in the size of level `refined`.
    """

    def __init__(self, channels: int, refined: int) -> None:
        super().__init__()
        self.refined = refined
        self.refine = NonLocal(channels)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        size = levels[self.refined].shape[2:]
        resized = [_resized(x, size, self.refined - i) for i, x in enumerate(levels)]
        mean = self.refine(torch.stack(resized).mean(0))
        return [x + _resized(mean, x.shape[2:], i - self.refined) for i, x in enumerate(levels)]


class NonLocal(nn.Module):
    """Each position plus a mean of all positions, weighted by similarity (Wang et al., arXiv 1711.07971, figure 2).

    Shapes: (n, channels, h, w) to the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g, self.theta, self.phi, self.conv_out = (ConvNorm(channels, channels, 1, relu=False) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (layer(x).flatten(2).transpose(1, 2) for layer in (self.theta, self.phi, self.g))
        # The logits are sums over all channels, which half precision has no room for.
        weights = (query.float() @ key.float().transpose(1, 2)).softmax(-1)
        seen = (weights.to(value.dtype) @ value).transpose(1, 2).reshape(x.shape)
        return x + self.conv_out(seen)


def _resized(x: Tensor, size: Sequence[int], steps: int) -> Tensor:
    """The map in the size of a level that is `steps` coarser, or finer where that is negative."""
    return adaptive_max(x, size, 2**steps) if steps > 0 else F.interpolate(x, size=tuple(size))


def from_config(section: Section, neck: Neck) -> Neck:
    """OpenMMLab's BFP behind another neck."""
    section.same("in_channels", neck.channels)
    section.same("num_levels", len(neck.strides))
    section.same("refine_type", "non_local")
    section.fixed(conv_cfg=None, norm_cfg=None)
    refined = section.integer("refine_level", 2, least=0, most=len(neck.strides) - 1)

    def build() -> nn.Module:
        return nn.Sequential(neck.build(), BalancedPyramid(neck.channels, refined))

    return replace(neck, build=build)
