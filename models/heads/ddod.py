"""DDOD's head (Chen et al., "Disentangle Your Dense Object Detector", arXiv 2107.02963)."""

from ...plugins.deform_conv.op import DeformConv
from ..anchors import Anchors
from .atss import ATSSHead


class DDODHead(ATSSHead):
    """ATSS' head whose branches each start with a deformable convolution; the `quality` is the IoU of the box.

    The branches do not share sampling positions (section 3.3).
    """

    def __init__(self, classes: int, channels: int = 256, *, anchors: Anchors, stacked: int = 4) -> None:
        super().__init__(classes, channels, anchors=anchors, stacked=stacked)
        for branch in (self.cls_convs, self.reg_convs):
            branch[0].conv = DeformConv(channels, channels, 3, 1, 1, bias=False)
