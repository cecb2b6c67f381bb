"""Double-Head R-CNN (arXiv 1904.06493), in OpenMMLab's form."""

from dataclasses import replace

from torch import nn

from ..backbones.resnet import R50, Backbone
from ..heads.double import DoubleHead, DoubleRoIHead
from ..heads.rpn import RPNHead
from ..proposals import USUAL, ProposalRule
from ..regions import RegionFeatures
from ..two_stage import TwoStageDetector
from ..variant import openmmlab
from .faster_rcnn import ANCHORS, FASTER_RCNN, POOLED, SMALL


def build(
    classes: int, *, backbone: Backbone = R50, channels: int = 256, width: int = 1024, rule: ProposalRule = USUAL
) -> nn.Module:
    """A Double-Head R-CNN whose box head has branches of `width`."""
    trunk, features = backbone(), RegionFeatures()
    head = DoubleRoIHead(features, DoubleHead(classes, channels, size=features.size, width=width))
    rpn = RPNHead(channels, anchors=ANCHORS, rule=rule)
    return TwoStageDetector(trunk, POOLED(trunk.channels, channels), rpn, head)


_DOUBLE_HEAD = replace(
    FASTER_RCNN,
    name="double_heads_r50",
    paper="arXiv 1904.06493",
    summary="Faster R-CNN with a branch for classes and one for boxes",
    build=build,
    published=openmmlab("double_heads", "dh_faster_rcnn_r50_fpn_1x_coco", "_20200130-586b67df", 40.0),
)

VARIANTS = (
    _DOUBLE_HEAD,
    _DOUBLE_HEAD.derive(
        "double_heads_test",
        "tiny Double-Head R-CNN for tests",
        build=SMALL,
    ),
)
ALIASES = {"double_heads": "double_heads_r50"}
