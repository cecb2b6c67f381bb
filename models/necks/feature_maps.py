"""mmpose's FeatureMapProcessor: the levels of a backbone as the single map that a pose head takes, without weights."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config.parts import Trunk
from ..config.section import Section


class FeatureMaps(nn.Module):
    """The levels with the indices `levels`, each resized by `scale`, or joined by `concat`.

    Shapes: (n, c_i, h_i, w_i) to the same with other sizes; with `concat` one map (n, sum c_i, h_0, w_0). `relu` cuts
    negative values, and `aligned` resizes between pixel centres. `channels` are those of the backbone's levels.
    """

    def __init__(
        self,
        channels: Sequence[int],
        levels: Sequence[int],
        *,
        concat: bool = False,
        scale: float = 1.0,
        relu: bool = False,
        aligned: bool = False,
    ) -> None:
        super().__init__()
        self.levels, self.concat, self.scale, self.relu, self.aligned = tuple(levels), concat, scale, relu, aligned
        used = tuple(channels[level] for level in levels)
        self.channels = (sum(used),) if concat else used

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        used = [maps[level] for level in self.levels]
        if self.concat:
            size = used[0].shape[2:]
            used = [torch.cat([F.interpolate(x, size, mode="bilinear", align_corners=self.aligned) for x in used], 1)]
        if self.relu:
            used = [x.relu() for x in used]
        if self.scale != 1:
            options = {"scale_factor": self.scale, "mode": "bilinear", "align_corners": self.aligned}
            used = [F.interpolate(x, **options) for x in used]
        return used


def from_config(section: Section, trunk: Trunk) -> Trunk:
    """OpenMMLab's FeatureMapProcessor behind a backbone."""
    count = len(trunk.levels)
    if section.is_number("select_index"):
        chosen = (section.integer("select_index", least=0),)
    else:
        chosen = tuple(range(count)) if section.is_none("select_index") else section.integers("select_index", None)
        chosen = tuple(range(count)) if chosen is None else chosen
    if not chosen or not all(0 <= index < count for index in chosen):
        section.refuse("select_index", f"indices below {count}")
    concat = section.flag("concat", False)
    scale = section.number("scale_factor", 1.0)
    if scale not in (1, 2, 4):
        section.refuse("scale_factor", "1, 2 or 4")
    strides = [trunk.strides[index] for index in chosen][: 1 if concat else None]
    neck = partial(
        FeatureMaps,
        trunk.all_channels,
        tuple(trunk.levels[index] for index in chosen),
        concat=concat,
        scale=float(scale),
        relu=section.flag("apply_relu", False),
        aligned=section.flag("align_corners", False),
    )
    return replace(trunk, neck=neck, strides=tuple(int(stride / scale) for stride in strides))


_POOLED = 1 << 15
"""The stride of a pooled level, above the side of any canvas."""


class Pooled(nn.Module):
    """The mean of the last level: (n, c, h, w) to (n, c, 1, 1)."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = (channels[-1],)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [maps[-1].mean((2, 3), keepdim=True)]


def pooled_from_config(section: Section, trunk: Trunk) -> Trunk:
    """OpenMMLab's GlobalAveragePooling behind a backbone."""
    if trunk.levels[-1] % len(trunk.all_channels) != len(trunk.all_channels) - 1:
        section.refuse("type", "FeatureMapProcessor, for other levels than the last one")
    return replace(trunk, neck=partial(Pooled, trunk.all_channels), strides=(_POOLED,))


def is_pooled(trunk: Trunk) -> bool:
    """Whether the last level that a head gets is a single cell."""
    return trunk.strides[-1] == _POOLED


def only_last(trunk: Trunk) -> Trunk:
    """A backbone whose last used level is the last that a head gets."""
    count = len(trunk.all_channels)
    if trunk.neck is not None or trunk.levels[-1] % count == count - 1:
        return trunk
    return replace(trunk, neck=partial(FeatureMaps, trunk.all_channels, trunk.levels))
