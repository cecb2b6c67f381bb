"""The recursive feature pyramid of DetectoRS (Qiao et al., arXiv 2006.02334, section 3)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..backbones.detectors import read_recursive
from ..config.parts import Neck, Trunk
from ..config.section import Section
from . import fpn
from .fpn import FPN

_RATES = (1, 3, 6, 1)


class _ASPP(nn.Module):
    """Convolutions of several rates and a mean over the map, each of a quarter of the channels (section 3.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(channels, channels // 4, 3, 1, rate, rate) for rate in _RATES[1:3]]
        first, last = (nn.Conv2d(channels, channels // 4, 1) for _ in range(2))
        self.aspp = nn.ModuleList([first, *layers, last])

    def forward(self, x: Tensor) -> Tensor:
        *local, last = self.aspp
        parts = [torch.relu(layer(x)) for layer in local]
        mean = torch.relu(last(x.mean((2, 3), keepdim=True)))
        return torch.cat((*parts, mean.expand_as(parts[0])), 1)


class RFP(FPN):
    """An image and backbone levels to pyramid levels, as `FPN`, in two steps.

    `again` builds the backbone of the second step for features of the given width. It gets those of the first, and its
    pyramid is fused with the first one.
    """

    def __init__(
        self, in_channels: Sequence[int], channels: int, levels: int, *, again: Callable[..., Any], **others: Any
    ) -> None:
        super().__init__(in_channels, channels, levels, **others)
        self.rfp_modules = nn.ModuleList([again(fed=channels)])
        self.rfp_aspp = _ASPP(channels)
        self.rfp_weight = nn.Conv2d(channels, 1, 1)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        image, *levels = levels
        first = super().forward(levels)
        # The finest level is not fed back, the coarsest is no level of the backbone.
        fed = [x if i == 0 else self.rfp_aspp(x) for i, x in enumerate(first[: len(levels)])]
        second = super().forward(self.rfp_modules[0].again(image, fed))
        fused: list[Tensor] = []
        for before, after in zip(first, second, strict=True):
            share = self.rfp_weight(after).sigmoid()
            fused.append(share * after + (1 - share) * before)
        return fused


def from_config(section: Section, trunk: Trunk) -> Neck:
    """OpenMMLab's RFP, whose backbone also gives the image."""
    section.same("rfp_steps", 2)
    section.same("aspp_dilations", _RATES)
    again = section.section("rfp_backbone") or section.refuse("rfp_backbone", "a dict with its type")
    neck = fpn.from_config(section, trunk, partial(RFP, again=read_recursive(again)))
    again.same("rfp_inplanes", neck.channels)
    section.same("aspp_out_channels", neck.channels // 4)
    if neck.levels != trunk.levels or len(neck.strides) != len(neck.levels) + 1:
        section.refuse("num_outs", f"{len(trunk.levels) + 1}, of all levels of the backbone")
    return replace(neck, levels=(0, *(level + 1 for level in neck.levels)))
