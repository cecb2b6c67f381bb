"""Darknet's weight files: numbers without names, in the order of the network's layers."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .backbones.cspnet import DarknetGraph
from .shapes import shapes_only
from .unpickle import MalformedError
from .variant import Variant

VALUES = "darknet"
"""The one name in a state that holds a file's numbers, before a network gives them their own."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The values of a .weights file. Raises MalformedError for other files."""
    data = path.read_bytes()
    if len(data) < 16:
        raise MalformedError("too short for Darknet's weights")
    major, minor = np.frombuffer(data, "<i4", 2)
    # How many images it has seen takes eight bytes since version 0.2.
    start = 20 if 10 * int(major) + int(minor) >= 2 else 16
    if (len(data) - start) % 4 or len(data) <= start:
        raise MalformedError("not a whole number of Darknet's weights")
    return {VALUES: torch.from_numpy(np.frombuffer(data, "<f4", offset=start).copy())}


def name_weights(values: Tensor, variant: Variant) -> dict[str, Tensor]:
    """The values under the names of a network that is a table of Darknet's layers.

    The number of classes follows from the number of values. Raises MalformedError for other networks.
    """
    one, two = (_layout(variant, classes) for classes in (1, 2))
    step = _size(two) - _size(one)
    classes, left = divmod(len(values) - _size(one) + step, step)
    if left or classes < 1:
        raise MalformedError(f"{len(values)} values, which fit {variant.name} with no number of classes")
    layout = _layout(variant, classes)
    parts = values.split([shape.numel() for _, shape in layout])
    return {name: part.reshape(shape) for (name, shape), part in zip(layout, parts, strict=True)}


def _layout(variant: Variant, classes: int) -> list[tuple[str, torch.Size]]:
    """Names and shapes in the order of a file: a norm's or a bias before its convolution's weights."""
    with shapes_only():
        network = variant.build(classes)
    if not isinstance(network.backbone, DarknetGraph):
        raise MalformedError(f"Darknet's weights, whose order {variant.name} does not follow")
    layout: list[tuple[str, torch.Size]] = []
    for number, block in enumerate(network.backbone.models):
        parts = dict(block.named_children())
        norms = [name for name, part in parts.items() if isinstance(part, nn.BatchNorm2d)]
        for name, part in parts.items():
            if isinstance(part, nn.Conv2d):
                first = [f"{n}.{k}" for n in norms for k in ("bias", "weight", "running_mean", "running_var")]
                keys = [*(first or [f"{name}.bias"]), f"{name}.weight"]
                state = block.state_dict()
                layout += [(f"backbone.models.{number}.{key}", state[key].shape) for key in keys]
    return layout


def _size(layout: list[tuple[str, torch.Size]]) -> int:
    return sum(shape.numel() for _, shape in layout)
