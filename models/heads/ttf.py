"""TTFNet's head (Liu et al., "Training-Time-Friendly Network for Real-Time Object Detection", arXiv 1909.00700)."""

import math

import torch
from torch import Tensor, nn

from ..blocks import ConvNorm
from ..peaks import at_cells, cell_points, cell_size, top_peaks

_UNIT = 16.0  # px of a predicted distance of 1


class TTFHead(nn.Module):
    """One map to a heatmap of centres and the distances from there to the sides of a box.

    `forward` gives `heat` (n, classes, h, w), logits, and `sides` (n, 4, h, w), left, top, right and bottom in px,
    fp32. `depth` is the number of convolutions before the last one of the sides.
    """

    def __init__(self, classes: int, channels: int = 64, *, depth: int = 1, peaks: int = 100) -> None:
        super().__init__()
        self.peaks = peaks
        wide = 2 * channels
        self.hm = nn.Sequential(ConvNorm(channels, wide, 3), ConvNorm(wide, wide, 3), nn.Conv2d(wide, classes, 1))
        sides = (ConvNorm(channels, channels, 3) for _ in range(depth))
        self.wh = nn.Sequential(*sides, nn.Conv2d(channels, 4, 1))
        nn.init.constant_(self.hm[-1].bias, -math.log(99))  # every class starts at a score of 0.01

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"heat": self.hm(x), "sides": self.wh(x).float().relu() * _UNIT}

    def decode(self, maps: dict[str, Tensor], canvas: tuple[int, int]) -> dict[str, Tensor]:
        """`boxes` (n, k, 4) xyxy px, `scores` (n, k) and `labels` (n, k) of the k best peaks, best first, in fp32."""
        heat = maps["heat"].float().sigmoid()
        scores, labels, cells = top_peaks(heat, self.peaks)
        points, sides = cell_points(cells, heat) * cell_size(canvas, heat), at_cells(maps["sides"], cells)
        boxes = torch.cat((points - sides[..., :2], points + sides[..., 2:]), -1)
        last = cell_size(canvas, heat) * cell_size(heat.shape[2:], heat.new_zeros(1, 1, 1, 1)) - 1
        boxes = torch.minimum(boxes.clamp(min=0), last.repeat(2))  # the authors cut them at the canvas' last pixel
        return {"boxes": boxes, "scores": scores, "labels": labels}
