"""DDOD's head (Chen et al., "Disentangle Your Dense Object Detector", arXiv 2107.02963)."""

from typing import Any

from ...deploy.contract.fusion import Fusion
from ...deploy.forms import Dense
from ...plugins.deform_conv.op import DeformConv
from ..config.dense import GROUPS, read_deltas, read_squares, read_towers
from ..config.norms import read_norm
from ..config.parts import Head, Neck
from ..config.section import Section
from .atss import ATSSHead


class DDODHead(ATSSHead):
    """ATSS' head whose branches each start with a deformable convolution; the `quality` is the IoU of the box.

    The branches do not share sampling positions (section 3.3). `others` are arguments of ATSSHead.
    """

    def __init__(self, classes: int, channels: int = 256, *, in_channels: int | None = None, **others: Any) -> None:
        super().__init__(classes, channels, in_channels=in_channels, **others)
        for branch in (self.cls_convs, self.reg_convs):
            branch[0].conv = DeformConv(in_channels or channels, channels, 3, 1, 1, bias=False)


RENAMED = {"bbox_head.atss_iou.": "bbox_head.atss_centerness."}
"""For `Variant.mapping`: OpenMMLab names the layer by what it predicts."""


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's DDODHead."""
    anchors = read_squares(section, neck)
    section.training("reg_decoded_bbox", "loss_iou")
    norm = read_norm(section, GROUPS) or section.refuse("norm_cfg", "BN, SyncBN or GN")
    section.same("use_dcn", True, True)
    if section.integer("stacked_convs", 4, least=0) == 0:
        section.refuse("stacked_convs", "1 or more")
    build = read_towers(section, neck, DDODHead, norm)
    return Head(
        build(anchors=anchors, stds=read_deltas(section, (1.0,) * 4)),
        section.integer("num_classes"),
        "bbox_head.atss_cls.weight",
        Dense(neck.strides),
        Fusion(1.0, 1.0),
        mapping=RENAMED,
    )
