"""Double-Head R-CNN (arXiv 1904.06493), in OpenMMLab's form and in that of its authors, who also have
Double-Head-Ext."""

from dataclasses import replace

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Proposed
from ..backbones.resnet import R50, R50_CAFFE, R101_CAFFE, Backbone
from ..heads.double import DoubleHead, DoubleRoIHead
from ..heads.double_official import OfficialDoubleHead, OfficialDoubleRoIHead
from ..heads.rpn import RPNHead
from ..layouts import BENCHMARK_UNUSED, benchmark_pyramid
from ..proposals import USUAL, ProposalRule
from ..regions import RegionFeatures
from ..two_stage import TwoStageDetector
from ..variant import CAFFE_1, Published, openmmlab
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


def build_official(
    classes: int,
    *,
    backbone: Backbone = R50_CAFFE,
    channels: int = 256,
    width: int = 1024,
    rule: ProposalRule = USUAL,
    fused: bool = False,
) -> nn.Module:
    """The authors' Double-Head R-CNN, and with `fused` Double-Head-Ext."""
    trunk, features = backbone(norm_eps=0.0), RegionFeatures(sampling=2, aligned=False)
    head = OfficialDoubleHead(classes, channels, size=features.size, width=width, fused=fused)
    anchors = replace(ANCHORS, centre=0.5, inclusive=True, rounded="ratios")
    rpn = RPNHead(channels, anchors=anchors, rule=replace(rule, inclusive=True))
    neck = POOLED(trunk.channels, channels)
    return TwoStageDetector(trunk, neck, rpn, OfficialDoubleRoIHead(features, head))


_OFFICIAL = replace(
    _DOUBLE_HEAD,
    name="double_head_official_r50",
    summary="Double-Head R-CNN by its authors: attention in the branch for boxes",
    build=build_official,
    input=CAFFE_1,
    form=Proposed(clip="last_pixel"),
    suppress=Suppress(iou=0.5, inclusive=True),
    classes_key="roi_head.bbox_head.cls_score_fc.weight",
    mapping={
        **benchmark_pyramid(),
        "roi_heads.box.feature_extractor.": "roi_head.bbox_head.",
        "roi_heads.box.predictor.": "roi_head.bbox_head.",
        "^rpn.head.conv.": "rpn_head.rpn_conv.",
        "^rpn.head.cls_logits.": "rpn_head.rpn_cls.",
        "^rpn.head.bbox_pred.": "rpn_head.rpn_reg.",
    },
    unused=BENCHMARK_UNUSED,
    published=Published(None, 40.3),  # theirs are on a drive
)
_EXT = {"fused": True}

VARIANTS = (
    _DOUBLE_HEAD,
    _OFFICIAL,
    _OFFICIAL.derive(
        "double_head_official_r101",
        "Double-Head R-CNN by its authors: ResNet-101",
        Published(None, 41.9),
        build={"backbone": R101_CAFFE},
    ),
    _OFFICIAL.derive(
        "double_head_ext_r50", "Double-Head-Ext: both branches find classes", _OFFICIAL.published, build=_EXT
    ),
    _OFFICIAL.derive(
        "double_head_ext_r101",
        "Double-Head-Ext: ResNet-101",
        Published(None, 41.9),
        build=_EXT | {"backbone": R101_CAFFE},
    ),
    _OFFICIAL.derive("double_head_ext_test", "tiny Double-Head-Ext for tests", build=SMALL | _EXT),
    _DOUBLE_HEAD.derive(
        "double_heads_test",
        "tiny Double-Head R-CNN for tests",
        build=SMALL,
    ),
)
ALIASES = {
    "double_heads": "double_heads_r50",
    "double_head_official": "double_head_official_r50",
    "double_head_ext": "double_head_ext_r50",
}
