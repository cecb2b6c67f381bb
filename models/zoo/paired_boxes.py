"""People in crowds by pairs of boxes, with NMS of the visible ones (R2NMS; arXiv 2003.12729)."""

from dataclasses import replace

from torch import nn

from ...deploy.contract.suppression import Suppress
from ..backbones.resnet import R50, Backbone
from ..heads.paired import PairedBoxHead, PairedRoIHead, PairedRPNHead
from ..proposals import USUAL, ProposalRule
from ..regions import RegionFeatures
from ..two_stage import TwoStageDetector
from ..variant import RGB
from .faster_rcnn import ANCHORS, FASTER_RCNN, POOLED, SMALL

_ANCHORS = replace(ANCHORS, ratios=(1.0, 2.0, 3.0))


def build(
    classes: int, *, backbone: Backbone = R50, channels: int = 256, width: int = 1024, rule: ProposalRule = USUAL
) -> nn.Module:
    """A Faster R-CNN for pairs of boxes, whose box head has layers of `width`."""
    trunk, features = backbone(), RegionFeatures()
    rpn = PairedRPNHead(channels, anchors=_ANCHORS, rule=rule)
    head = PairedRoIHead(features, PairedBoxHead(classes, channels, size=features.size, width=width))
    return TwoStageDetector(trunk, POOLED(trunk.channels, channels), rpn, head)


_PAIRED = replace(
    FASTER_RCNN,
    name="paired_boxes_r50",
    paper="arXiv 2003.12729",
    summary="people in crowds: whole and visible boxes in pairs, with NMS of the visible ones",
    build=build,
    input=RGB.placed(size=(800, 1400)),
    suppress=Suppress("visible", iou=0.5),
    labels=("person",),
    published=None,
)

VARIANTS = (_PAIRED, _PAIRED.derive("paired_boxes_test", "tiny network of paired boxes for tests", build=SMALL))
ALIASES = {"paired_boxes": "paired_boxes_r50", "pbm": "paired_boxes_r50"}
