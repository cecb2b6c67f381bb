"""Gaussians around the corners and centres of boxes (CornerNet, Law and Deng, arXiv 1808.01244, section 3.2)."""

import math

import torch
from torch import Tensor


def corner_radius(width: float, height: float, overlap: float = 0.3) -> float:
    """The largest shift of both corners of a box that leaves its IoU at `overlap` or more.

    Of three cases the tightest: both corners move the same way, both inwards, both outwards.
    """
    total, size = width + height, width * height
    same = (total - math.sqrt(total**2 - 4 * size * (1 - overlap) / (1 + overlap))) / 2
    inwards = (total - math.sqrt(total**2 - 4 * size * (1 - overlap))) / 4
    outwards = (math.sqrt(total**2 + 4 * size * (1 - overlap) / overlap) - total) / 4
    return min(same, inwards, outwards)


def draw_gaussian(heat: Tensor, centre: tuple[int, int], radii: tuple[int, int], height: float = 1.0) -> None:
    """Raise a map (h, w) in place to a Gaussian of this height around a cell (x, y), up to the radii (x, y).

    A radius of r cells is 3 standard deviations of (2 r + 1) / 6 cells.
    """
    curves: list[Tensor] = []
    spans: list[slice] = []
    for middle, radius, size in zip(centre, radii, reversed(heat.shape), strict=True):
        first, last = max(0, middle - radius), min(size - 1, middle + radius)
        steps = torch.arange(first, last + 1, device=heat.device, dtype=heat.dtype) - middle
        curves.append(torch.exp(-(steps**2) / (2 * ((2 * radius + 1) / 6) ** 2)))
        spans.append(slice(first, last + 1))
    area = heat[spans[1], spans[0]]
    torch.maximum(area, height * curves[1][:, None] * curves[0], out=area)


def corner_targets(
    objects: Tensor, labels: Tensor, classes: int, size: tuple[int, int], stride: float, overlap: float = 0.3
) -> tuple[Tensor, Tensor]:
    """CornerNet's heatmaps (2, classes, h, w) and offsets (2, 2, h, w) of top-left and bottom-right corners.

    Objects are (g, 4) xyxy px, labels (g,), `size` (h, w) is that of the maps. Offsets are xy within the corner's cell,
    and 0 elsewhere.
    """
    heat, offsets = objects.new_zeros(2, classes, *size), objects.new_zeros(2, 2, *size)
    for box, label in zip((objects / stride).tolist(), labels.tolist(), strict=True):
        radius = max(0, int(corner_radius(math.ceil(box[2] - box[0]), math.ceil(box[3] - box[1]), overlap)))
        for corner, (x, y) in enumerate((box[:2], box[2:])):
            column, row = min(int(x), size[1] - 1), min(int(y), size[0] - 1)
            draw_gaussian(heat[corner, label], (column, row), (radius, radius))
            offsets[corner, :, row, column] = offsets.new_tensor((x - column, y - row))
    return heat, offsets
