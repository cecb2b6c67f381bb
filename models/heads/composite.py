"""PifPaf's heads, which predict composite fields (Kreiss et al., "PifPaf: Composite Fields for Human Pose Estimation",
arXiv 1903.06593, section 3, and "OpenPifPaf", arXiv 2103.02440, section 3)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CompositeField(nn.Module):
    """Features (n, channels, h, w) to fields (n, count, 2 + 3 * points, 2h - 1, 2w - 1), raw.

    The components are an unused one, a confidence, x and y of each point, and the scale of each.
    """

    def __init__(self, channels: int, count: int, points: int) -> None:
        super().__init__()
        self.count = count
        self.conv = nn.Conv2d(channels, count * (2 + 3 * points) * 4, 1)

    def forward(self, features: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(features), 2)[:, :, :-1, :-1].unflatten(1, (self.count, -1))


class CompositeHead(nn.Module):
    """The last level to the confidences `heatmaps` and `limbs`, and `places` and `ends`, in cells.

    The cells are twice as many as the level's, without the last row and column. `forward` gives the raw fields.
    """

    def __init__(self, keypoints: int, limbs: int, channels: int) -> None:
        super().__init__()
        self.head_nets = nn.ModuleList((CompositeField(channels, keypoints, 1), CompositeField(channels, limbs, 2)))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        return [head(levels[-1]) for head in self.head_nets]

    def decode(self, fields: Sequence[Tensor]) -> dict[str, Tensor]:
        keypoints, limbs = (_in_cells(field.float(), points) for field, points in zip(fields, (1, 2), strict=True))
        return {"heatmaps": keypoints[0], "places": keypoints[1], "limbs": limbs[0], "ends": limbs[1]}


def _in_cells(field: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Confidences, and the positions and scales of each cell's points."""
    rows, columns = (torch.arange(side, device=field.device, dtype=field.dtype) for side in field.shape[3:])
    parts = list(field[:, :, 2:].split(1, 2))
    for i in range(points):
        parts[2 * i] = parts[2 * i] + columns
        parts[2 * i + 1] = parts[2 * i + 1] + rows[:, None]
        parts[2 * points + i] = F.softplus(parts[2 * points + i])
    return field[:, :, 1].sigmoid(), torch.cat(parts, 2)
