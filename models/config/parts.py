"""Descriptions of a network's parts, as read from a configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Form
from ..final import FinalRule
from ..regions import RegionFeatures
from ..shapes import shapes_only


@dataclass(frozen=True)
class Trunk:
    """A backbone: how to build it, the levels in use, and their strides.

    `mapping` turns parts of a checkpoint's keys into the backbone's own, as `Variant.mapping` does. `neck` builds the
    module that gives a pose head its levels, if there is one; `strides` and `channels` are then those of its outputs.
    Parameters with a part in `unused` are only used in training.
    `cells` is how many cells of the last level a side in px becomes, if that is not the side over the stride.
    """

    build: Callable[[], Any]
    levels: tuple[int, ...]
    strides: tuple[int, ...]
    mapping: Mapping[str, str] = field(default_factory=dict)
    neck: Callable[[], Any] | None = None
    cells: Callable[[int], int] | None = None
    unused: tuple[str, ...] = ()

    @cached_property
    def all_channels(self) -> tuple[int, ...]:
        """The number of channels of each level of the backbone, used or not."""
        with shapes_only():
            return tuple(self.build().channels)

    @cached_property
    def channels(self) -> tuple[int, ...]:
        """The number of channels of each level that a neck or head gets."""
        if self.neck is not None:
            return self.neck().channels
        return tuple(self.all_channels[level] for level in self.levels)


@dataclass(frozen=True)
class Neck:
    """A pyramid: how to build it, the backbone levels that it takes, and its output levels with the given `strides` and
    `channels`, one number of all or one of each. `floors` is that of `Dense`."""

    build: Callable[[], nn.Module]
    levels: tuple[int, ...]
    channels: Any
    strides: tuple[int, ...]
    floors: tuple[int, ...] = ()


@dataclass(frozen=True)
class Final:
    """What looks at final detections once more: how to build it for a number of classes, and the `features` of the
    detections of the `rule` that it gets."""

    build: Callable[[int], nn.Module]
    features: RegionFeatures
    rule: FinalRule


@dataclass(frozen=True)
class Head:
    """A head: how to build it for a number of classes or keypoints, and that number in the configuration.

    `classifier` is the name in the head of the parameter whose first axis is that number. Parameters with a part in
    `unused` are only used in training. `size` is the (height, width) px of a fixed input. `beside_classes` is that of
    `Variant`. A head that reads the thresholds of `test_cfg` has a `suppress`, and a form with its limits. `links` is
    how many links of the skeleton its weights are for, if they are. A head that also gets the mirrored image assumes
    that keypoints change places as in `mirrors`. A second stage may have a `final` one behind it.
    """

    build: Callable[[int], nn.Module]
    classes: int
    classifier: str
    form: Form
    fusion: Fusion = Fusion()
    size: tuple[int, int] | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    beside_classes: int = 0
    suppress: Suppress | None = None
    links: int | None = None
    mirrors: tuple[int, ...] | None = None
    final: Final | None = None
