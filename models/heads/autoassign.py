"""AutoAssign's head (Zhu et al., "AutoAssign: Differentiable Label Assignment", arXiv 2007.03496)."""

from collections.abc import Sequence

from torch import nn

from .fcos import FCOSHead


class AutoAssignHead(FCOSHead):
    """FCOS' improved head at the corners of the cells, which learns its `quality` as an implicit objectness.

    Nothing but the training tells it from a centerness (section 3.2); the boxes start at four strides a side.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        strides: Sequence[int] = (8, 16, 32, 64, 128),
        stacked: int = 4,
    ) -> None:
        super().__init__(classes, channels, improved=True, strides=strides, stacked=stacked, bias=True, offset=0.0)
        nn.init.constant_(self.conv_reg.bias, 4.0)
