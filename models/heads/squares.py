"""What heads on one square anchor per cell start with."""

from functools import partial
from typing import Literal

from torch import nn

from ..anchors import Anchors
from ..blocks import tower


class SquareAnchorHead(nn.Module):
    """A branch for classes and one for boxes, each a `tower` of `stacked` convolutions with `norm`."""

    def __init__(
        self,
        channels: int,
        *,
        anchors: Anchors,
        stacked: int = 4,
        norm: Literal["bn", "gn"] | None = None,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.anchors = anchors
        branch = partial(tower, channels, stacked, norm=norm, in_channels=in_channels)
        self.cls_convs, self.reg_convs = branch(), branch()
