"""Faster R-CNN (arXiv 1506.01497) on one level, whose regions pass a ResNet's last stage (Ren et al., "Object Detection
Networks on Convolutional Feature Maps", arXiv 1504.06066)."""

from dataclasses import replace

from torch import nn

from ..anchors import Anchors
from ..backbones.resnet import R50_CAFFE, Backbone
from ..heads.bbox import BoxHead
from ..heads.rpn import RPNHead
from ..proposals import ProposalRule
from ..regions import RegionFeatures, StageFeatures
from ..two_stage import RoIHead, TwoStageDetector
from ..variant import CAFFE_2, openmmlab
from .faster_rcnn import FASTER_RCNN, SMALL

_ANCHORS = Anchors((16,), scales=(2.0, 4.0, 8.0, 16.0, 32.0))
_RULE = ProposalRule(top_k=6000)


def build(classes: int, *, backbone: Backbone = R50_CAFFE, rule: ProposalRule = _RULE) -> nn.Module:
    """A Faster R-CNN on the level C4 of a ResNet, whose last stage becomes the second stage's."""
    trunk = backbone()
    stage, trunk.layer4 = trunk.layer4, nn.Identity()
    features = StageFeatures(RegionFeatures(levels=1, stride=16, size=14), stage)
    rpn = RPNHead(trunk.channels[2], anchors=_ANCHORS, rule=rule)
    head = RoIHead(features, BoxHead(classes, trunk.channels[3], width=None))
    return TwoStageDetector(trunk, nn.Identity(), rpn, head, levels=(2,))


_C4 = replace(
    FASTER_RCNN,
    name="faster_rcnn_r50_caffe_c4",
    paper="arXiv 1504.06066",
    summary="Faster R-CNN on one level, with the last stage of its ResNet for each region: ResNet-50, caffe style",
    build=build,
    input=CAFFE_2,
    published=openmmlab("faster_rcnn", "faster_rcnn_r50_caffe_c4_1x_coco", "_20220316_150152-3f885b85", 35.6),
    mapping={"^roi_head.shared_head.": "roi_head.features."},
)

VARIANTS = (
    _C4,
    _C4.derive(
        "faster_rcnn_c4_test",
        "tiny Faster R-CNN on one level for tests",
        build={name: SMALL[name] for name in ("backbone", "rule")},
    ),
)
ALIASES = {"faster_rcnn_c4": "faster_rcnn_r50_caffe_c4"}
