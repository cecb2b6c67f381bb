"""YuNet's neck: a feature pyramid of depthwise units."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..backbones.yunet import Unit


class TinyFPN(nn.Module):
    """Levels of one width to as many. Each level, plus the next coarser one, passes through a unit.

    Shapes: (n, channels, h, w) each to the same.
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(Unit(channels, channels) for _ in range(levels))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        outputs = [self.lateral_convs[-1](levels[-1])]
        for i in range(len(levels) - 2, -1, -1):
            coarser = F.interpolate(outputs[0], size=levels[i].shape[2:])
            outputs.insert(0, self.lateral_convs[i](levels[i] + coarser))
        return outputs
