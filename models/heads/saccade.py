"""SaccadeNet's head (Lan et al., "SaccadeNet: A Fast and Accurate Object Detector", arXiv 2003.12125): CenterNet's,
whose boxes then attend to their own corners."""

import torch
from torch import Tensor, nn

from ...plugins.deform_conv.op import deform_conv
from .center import CenterHead


class Aggregation(nn.Module):
    """A prediction for each box from the features at its centre and corners (section 3.3).

    Shapes: x (n, in_channels, h, w) and sizes (n, 2, h, w), width and height in cells, to (n, outputs, h, w). The taps
    of a modulated deformable convolution lie on the corners and on one learned point, all others have no weight.
    """

    def __init__(self, in_channels: int, channels: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.conv_offset = nn.Conv2d(in_channels, 7, 3, padding=1)
        self.conv1x1 = nn.Conv2d(channels, outputs, 1)
        nn.init.kaiming_normal_(self.weight)
        nn.init.zeros_(self.conv1x1.weight)  # training starts from CenterNet's boxes
        nn.init.zeros_(self.conv1x1.bias)

    def forward(self, x: Tensor, size: Tensor) -> Tensor:
        learned, weights = self.conv_offset(x).split((2, 5), 1)
        offsets, mask = _taps(size / 2, learned), _corners(weights.sigmoid())
        out = deform_conv(x, offsets, self.weight, mask, self.bias, (1, 1), (1, 1), (1, 1), 1, 1)
        return self.conv1x1(torch.relu(out))


def _corners(weights: Tensor) -> Tensor:
    """The masks (n, 9, h, w) of all taps from those (n, 5, h, w) of the four corners and of the middle."""
    one, two, middle, three, four = weights.split(1, 1)
    none = torch.zeros_like(one)
    return torch.cat((one, none, two, none, middle, none, three, none, four), 1)


def _taps(half: Tensor, learned: Tensor) -> Tensor:
    """How far each tap moves, (n, 18, h, w) as (dy, dx) in cells, from half a box's (width, height) in cells.

    The authors' last corner has its numbers exchanged with those of a tap that has no weight, so that it lies in the
    middle of the right side; the published weights were trained with it.
    """
    width, height = half.split(1, 1)
    none = torch.zeros_like(width)
    ends = [(-height, -width), (none, none), (-height, width), (none, none), learned.split(1, 1), (none, none)]
    ends += [(height, -width), (height, none), (none, width)]
    targets = torch.cat([side for end in ends for side in end], 1)
    rows = torch.arange(-1.0, 2.0, device=half.device)
    return targets - torch.cartesian_prod(rows, rows).reshape(-1, 1, 1).to(half.dtype)


class SaccadeHead(CenterHead):
    """CenterNet's head whose sizes are corrected from the features at the boxes' corners.

    With `recentred` the offsets are corrected too. A second `round` repeats this from the corrected boxes and replaces
    the sizes.
    """

    def __init__(
        self, classes: int, in_channels: int, channels: int = 64, *, rounds: int = 1, recentred: bool = False
    ) -> None:
        super().__init__(classes, in_channels, channels)
        outputs = 4 if recentred else 2
        self.agg_att = nn.ModuleList(Aggregation(in_channels, channels, outputs) for _ in range(rounds))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = super().forward(x)
        first, *others = (attend for attend in self.agg_att)
        change = first(x, maps["size"])
        maps["size"] = maps["size"] + change[:, :2]
        if change.shape[1] == 4:
            maps["offset"] = maps["offset"] + change[:, 2:]
        for attend in others:
            maps["size"] = attend(x, maps["size"])[:, :2]
        return maps
