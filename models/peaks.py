"""Peaks of heatmaps, which networks that see objects as points read their detections from."""

import torch
from torch import Tensor
from torch.nn import functional as F


def top_peaks(heat: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `count` highest peaks of each image: scores (n, k), labels (n, k) and cells (n, k), best first.

    `heat` (n, classes, h, w) holds scores; a peak is as high as everything in the 3x3 cells around it, and a cell is
    y * w + x. Where an image has fewer peaks the rest score 0 and mean nothing.
    """
    peaks = torch.where(F.max_pool2d(heat, 3, 1, 1) == heat, heat, 0.0)
    # A small map of few classes may have fewer values than there are peaks to find.
    scores, index = F.pad(peaks.flatten(1), (0, count)).topk(count)
    cells = heat.shape[2] * heat.shape[3]
    labels = index // cells
    return scores, labels, index - labels * cells  # the exporter knows no remainder of a size that is free


def at_cells(x: Tensor, cells: Tensor) -> Tensor:
    """The values (n, k, c) of a map (n, c, h, w) at cells (n, k)."""
    return x.flatten(2).gather(2, cells[:, None].expand(-1, x.shape[1], -1)).transpose(1, 2)


def cell_points(cells: Tensor, like: Tensor) -> Tensor:
    """Positions (n, k, 2) xy of cells (n, k), in cells of the map `like` (n, c, h, w) and in its type."""
    width = like.shape[3]
    rows = cells // width
    return torch.stack((cells - rows * width, rows), -1).to(like.dtype)


def cell_size(canvas: tuple[int, int], like: Tensor) -> Tensor:
    """Px in a cell, (2,) xy: a canvas of (height, width) px over the size of the map `like` (n, c, h, w)."""
    sides = [like.new_full((1,), side) for side in (canvas[1], like.shape[3], canvas[0], like.shape[2])]
    return torch.cat((sides[0] / sides[1], sides[2] / sides[3]))
