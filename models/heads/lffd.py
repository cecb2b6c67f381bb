"""LFFD's head (He et al., "LFFD: A Light and Fast Face Detector for Edge Devices", arXiv 1904.10633, section 3)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..points import grid_points, points_first

_PRIOR = 0.01


class LFFDHead(nn.Module):
    """Levels to class scores and boxes at the centre of the receptive field of every cell.

    `forward` gives per level the logits `classes` (n, classes + 1, h, w), the background last, and `edges`
    (n, 4, h, w), the way from each side of the box to the centre, left, top, right and bottom, in halves of the level's
    `side`. Parameters are stored as `conv<tap>_<layer>.*`, as the authors name them by the tap's last convolution.
    """

    def __init__(
        self,
        classes: int,
        channels: Sequence[int],
        *,
        taps: Sequence[int],
        strides: Sequence[int],
        sides: Sequence[float],
        width: int = 128,
    ) -> None:
        super().__init__()
        self.strides, self.sides, self.taps = tuple(strides), tuple(sides), tuple(taps)
        for tap, given in zip(taps, channels, strict=True):
            self.add_module(f"conv{tap}_1", nn.Conv2d(given, width, 1))
            for name, count in (("score", classes + 1), ("bbox", 4)):
                self.add_module(f"conv{tap}_2_{name}", nn.Conv2d(width, width, 1))
                self.add_module(f"conv{tap}_3_{name}", nn.Conv2d(width, count, 1))
            last = self._layer(tap, "3_score")
            assert isinstance(last, nn.Conv2d) and last.bias is not None
            nn.init.zeros_(last.bias)
            nn.init.constant_(last.bias[:classes], math.log(_PRIOR / (1 - _PRIOR)))

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        shared = [torch.relu(self._layer(tap, "1")(x)) for tap, x in zip(self.taps, levels, strict=True)]

        def branch(name: str) -> list[Tensor]:
            hidden = [self._layer(tap, f"2_{name}")(x) for tap, x in zip(self.taps, shared, strict=True)]
            return [self._layer(tap, f"3_{name}")(x.relu()) for tap, x in zip(self.taps, hidden, strict=True)]

        return {"classes": branch("score"), "edges": branch("bbox")}

    def _layer(self, tap: int, name: str) -> nn.Module:
        return self.get_submodule(f"conv{tap}_{name}")

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes) and `boxes` (n, a, 4) xyxy px, in fp32."""
        edges = points_first(logits["edges"]).float()
        points, _ = grid_points([x.shape[2:] for x in logits["edges"]], self.strides, edges, 1)
        halves = torch.cat(
            [
                edges.new_full((x.shape[2] * x.shape[3], 1), s / 2)
                for x, s in zip(logits["edges"], self.sides, strict=True)
            ]
        )
        return {
            "boxes": (points - 1).repeat(1, 2) - edges * halves,
            "scores": points_first(logits["classes"]).float().softmax(-1)[..., :-1],
        }
