"""What the parts of a network say of themselves when they are read from a configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.forms import Form


@dataclass(frozen=True)
class Trunk:
    """A backbone: how to build it, which of the levels that it gives are in use, and their strides.

    `mapping` turns parts of a checkpoint's keys into the backbone's own, as `Variant.mapping` does.
    """

    build: Callable[[], Any]
    levels: tuple[int, ...]
    strides: tuple[int, ...]
    mapping: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def channels(self) -> tuple[int, ...]:
        """How wide each level is."""
        with torch.device("meta"):
            channels = self.build().channels
        return tuple(channels[level] for level in self.levels)


@dataclass(frozen=True)
class Neck:
    """A pyramid: how to build it, which levels of the backbone it takes, and what comes of them: levels of the given
    `strides`, each `channels` wide."""

    build: Callable[[], nn.Module]
    levels: tuple[int, ...]
    channels: int
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Head:
    """A head: how to build it for a number of classes or keypoints, and what the configuration says that number is.

    `classifier` is the parameter whose first axis that number is, by its name in the head; parameters with a part in
    `unused` only train. `size` is the input's (height, width) px, where the head is made for one.
    """

    build: Callable[[int], nn.Module]
    classes: int
    classifier: str
    form: Form
    fusion: Fusion = Fusion()
    size: tuple[int, int] | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
