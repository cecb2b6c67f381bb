"""LFFD's backbone (He et al., "LFFD: A Light and Fast Face Detector for Edge Devices", arXiv 1904.10633, section 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Stage:
    """Convolutions of one stride: one of stride 2 for each of `widths`, then residual pairs.

    `pairs` holds for each tap the number of pairs before it. The first convolution of a pair has `inner` channels, or
    as many as the stage.
    """

    widths: tuple[int, ...]
    pairs: tuple[int, ...]
    inner: int | None = None

    @property
    def channels(self) -> int:
        """The channels of the stage's taps."""
        return self.widths[-1]


def taps(stages: tuple[Stage, ...]) -> list[int]:
    """The number of the convolution, from 1, at the end of each tap, by which the authors name it."""
    numbers: list[int] = []
    last = 0
    for stage in stages:
        last += len(stage.widths)
        for pairs in stage.pairs:
            last += 2 * pairs
            numbers.append(last)
    return numbers


class LFFDBackbone(nn.Module):
    """Image (n, 3, h, w) to one level for each tap, without norms.

    A level of stride s has (h + 1) // s - 1 rows, because the convolutions of stride 2 have no padding. Pairs add what
    convolutions give before their ReLU. Parameters are stored as `conv<number>.*`, in the order of the layers.
    """

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        super().__init__()
        self.stages = stages
        channels, number = 3, 1
        for stage in stages:
            inner = stage.inner or stage.channels
            for width in stage.widths:
                self.add_module(f"conv{number}", nn.Conv2d(channels, width, 3, 2))
                channels, number = width, number + 1
            for _ in range(sum(stage.pairs)):
                self.add_module(f"conv{number}", nn.Conv2d(channels, inner, 3, 1, 1))
                self.add_module(f"conv{number + 1}", nn.Conv2d(inner, channels, 3, 1, 1))
                number += 2

    def forward(self, image: Tensor) -> list[Tensor]:
        levels: list[Tensor] = []
        layers = iter(self.children())
        x = image
        for stage in self.stages:
            total = x
            for _ in stage.widths:
                total = next(layers)(x)
                x = torch.relu(total)
            for pairs in stage.pairs:
                for _ in range(pairs):
                    hidden = torch.relu(next(layers)(x))
                    total = total + next(layers)(hidden)
                    x = torch.relu(total)
                levels.append(x)
        return levels
