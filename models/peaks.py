"""Peaks of heatmaps, for networks that detect objects as points."""

import torch
from torch import Tensor
from torch.nn import functional as F


def top_peaks(heat: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `count` highest peaks of each image: scores (n, k), labels (n, k) and cells (n, k), best first.

    `heat` (n, classes, h, w) holds scores. A peak is a maximum of its 3x3 neighbourhood; a cell is y * w + x. If an
    image has fewer peaks, the remaining rows are undefined and score 0.
    """
    peaks = torch.where(F.max_pool2d(heat, 3, 1, 1) == heat, heat, 0.0)
    # A small map of few classes may have fewer values than `count`.
    scores, index = F.pad(peaks.flatten(1), (0, count)).topk(count)
    cells = heat.shape[2] * heat.shape[3]
    labels = index // cells
    return scores, labels, index - labels * cells  # The exporter does not support the remainder by a dynamic size.


def at_cells(x: Tensor, cells: Tensor) -> Tensor:
    """The values (n, k, c) of a map (n, c, h, w) at cells (n, k)."""
    return x.flatten(2).gather(2, cells[:, None].expand(-1, x.shape[1], -1)).transpose(1, 2)


def cell_points(cells: Tensor, like: Tensor) -> Tensor:
    """Positions (n, k, 2) xy of cells (n, k), in cells of the map `like` (n, c, h, w) and in its type."""
    width = like.shape[3]
    rows = cells // width
    return torch.stack((cells - rows * width, rows), -1).to(like.dtype)


def cell_size(canvas: tuple[int, int], like: Tensor) -> Tensor:
    """The size of a cell in px, (2,) xy: a canvas of (height, width) px divided by the map `like` (n, c, h, w)."""
    sides = [like.new_full((1,), side) for side in (canvas[1], like.shape[3], canvas[0], like.shape[2])]
    return torch.cat((sides[0] / sides[1], sides[2] / sides[3]))
