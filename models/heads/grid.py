"""Grid R-CNN's head, which finds a box by a grid of points on it (Lu et al., "Grid R-CNN", arXiv 1811.12030), with the
halved maps of Grid R-CNN Plus (arXiv 1906.05688)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm, Norm, renorm

SIDE = 3
"""Points along a side of the grid."""
_POINTS = SIDE * SIDE
NORM = Norm("gn", groups=36)


class GridHead(nn.Module):
    """Features of regions (n, k, channels, s, s) to their boxes.

    `forward` gives `points` (n, k, 9, 2s, 2s), the logits of where each point of the grid is, in fp32, columns first:
    the left column from the top down, then the middle one. Each point has `width` channels of `convs` 3x3 convolutions,
    and takes those of its neighbours in twice (section 3.3). `norm` is that of the convolutions.
    """

    def __init__(self, channels: int = 256, *, width: int = 64, convs: int = 8, norm: Norm = NORM) -> None:
        super().__init__()
        total = _POINTS * width
        first = ConvNorm(channels, total, 3, stride=2, norm="gn", bias=True)
        others = (ConvNorm(total, total, 3, norm="gn", bias=True) for _ in range(convs - 1))
        self.convs = renorm(nn.Sequential(first, *others), norm)
        self.forder_trans, self.sorder_trans = (
            nn.ModuleList(nn.ModuleList(_moved(width) for _ in near) for near in _NEIGHBOURS) for _ in range(2)
        )
        self.deconv1 = nn.ConvTranspose2d(total, total, 4, 2, 1, groups=_POINTS)
        self.norm1 = nn.GroupNorm(_POINTS, total)
        self.deconv2 = nn.ConvTranspose2d(total, _POINTS, 4, 2, 1, groups=_POINTS)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        own = self.convs(features.flatten(0, 1)).chunk(_POINTS, 1)
        taken: Sequence[Tensor] = own
        for layers in (self.forder_trans, self.sorder_trans):
            taken = [
                sum((move(taken[j]) for move, j in zip(moves, near, strict=True)), start=own[i])
                for i, (moves, near) in enumerate(zip(layers, _NEIGHBOURS, strict=True))
            ]
        x = torch.relu(self.norm1(self.deconv1(torch.cat(taken, 1)))).float()
        # In half precision, neighbouring cells of a peak would be equal.
        weight, bias = (parameter.float() for parameter in (self.deconv2.weight, self.deconv2.bias))
        points = F.conv_transpose2d(x, weight, bias, 2, 1, groups=_POINTS)
        return {"points": points.unflatten(0, features.shape[:2])}

    def boxes(self, logits: dict[str, Tensor], regions: Tensor) -> Tensor:
        """The boxes (n, k, 4) xyxy px in regions (n, k, 4) xyxy px, in fp32.

        A side is the mean of the three points on it, weighted by their scores (equation 4).
        """
        points = logits["points"]
        side = points.shape[-1]
        best, cells = points.flatten(-2).max(-1)
        scores = best.sigmoid().unflatten(-1, (SIDE, SIDE))
        # A map covers half of twice the region, of which the grid's outer points are at the ends.
        starts = (torch.arange(SIDE, device=cells.device) / (SIDE - 1) - 0.25).mul(2 * side).clamp(0, side)
        x = (cells % side).unflatten(-1, (SIDE, SIDE)) + starts[:, None]
        y = (cells // side).unflatten(-1, (SIDE, SIDE)) + starts
        columns, rows = ((values * scores).sum(axis) / scores.sum(axis) for values, axis in ((x, -1), (y, -2)))
        corners = torch.stack((columns[..., 0], rows[..., 0], columns[..., -1], rows[..., -1]), -1)
        low, high = regions.split(2, -1)
        shares = (corners + 0.5) / side - 0.5
        return low.repeat(1, 1, 2) + shares * (high - low).repeat(1, 1, 2)


def _neighbours(i: int) -> list[int]:
    """The points left of, above, below and right of a point, of those that there are."""
    column, row = divmod(i, SIDE)
    near = ((column - 1, row), (column, row - 1), (column, row + 1), (column + 1, row))
    return [a * SIDE + b for a, b in near if 0 <= a < SIDE and 0 <= b < SIDE]


_NEIGHBOURS = [_neighbours(i) for i in range(_POINTS)]


def _moved(width: int) -> nn.Sequential:
    """A neighbour's features, moved to the point's place."""
    return nn.Sequential(nn.Conv2d(width, width, 5, padding=2, groups=width), nn.Conv2d(width, width, 1))
