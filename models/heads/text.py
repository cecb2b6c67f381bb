"""Heads of text detectors that read one map: probabilities of pixels, and rotated boxes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MapHead(nn.Module):
    """One map (n, in_channels, h, w) to a logit per pixel for each of the outputs `names`: (n, 1, h, w) each.

    `decode` gives the outputs themselves, probabilities in fp32.
    """

    def __init__(self, in_channels: int, names: Sequence[str] = ("map",)) -> None:
        super().__init__()
        self.convs = nn.ModuleDict({name: _rare(nn.Conv2d(in_channels, 1, 3, padding=1)) for name in names})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {name: conv(x) for name, conv in self.convs.items()}

    def decode(self, maps: dict[str, Tensor], canvas: tuple[int, int]) -> dict[str, Tensor]:
        return {name: logits.float().sigmoid() for name, logits in maps.items()}


class RotatedBoxHead(nn.Module):
    """One map (n, in_channels, h, w) to a score and a rotated box per pixel, as in EAST.

    `forward` gives logits `score` (n, 1, h, w), `distances` (n, 4, h, w) in the order `sides`, and `angle` (n, 1, h,
    w). `decode` gives the outputs of the form `rotated` in fp32: distances up to `reach` px, and angles up to half of
    `turn` to either side.
    """

    def __init__(
        self, in_channels: int, *, sides: str = "top right bottom left", turn: float = math.pi / 2, reach: float = 512.0
    ) -> None:
        super().__init__()
        self.score = _rare(nn.Conv2d(in_channels, 1, 1))
        self.distances, self.angle = nn.Conv2d(in_channels, 4, 1), nn.Conv2d(in_channels, 1, 1)
        self.order = [sides.split().index(side) for side in ("top", "right", "bottom", "left")]
        self.turn, self.reach = turn, reach

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"score": self.score(x), "distances": self.distances(x), "angle": self.angle(x)}

    def decode(self, maps: dict[str, Tensor], canvas: tuple[int, int]) -> dict[str, Tensor]:
        score, distances, angle = (maps[name].float().sigmoid() for name in ("score", "distances", "angle"))
        sides = torch.cat([distances[:, i : i + 1] for i in self.order], 1)
        return {"scores": score, "distances": self.reach * sides, "angles": (angle - 0.5) * self.turn}


def _rare(conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution with a bias for scores of 0.01, with which training starts."""
    assert conv.bias is not None
    nn.init.constant_(conv.bias, -math.log(99))
    return conv
