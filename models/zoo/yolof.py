"""YOLOF ("You Only Look One-level Feature", arXiv 2103.09460)."""

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..backbones.resnet import R50_CAFFE, TINY, Backbone
from ..detector import DenseDetector
from ..heads.yolof import YOLOFHead
from ..labels import COCO
from ..necks.dilated import DilatedEncoder
from ..variant import CAFFE_2, Variant, openmmlab

_ANCHORS = Anchors(strides=(32,), ratios=(1.0,), scales=(1, 2, 4, 8, 16))


def build(classes: int, *, backbone: Backbone = R50_CAFFE, channels: int = 512) -> nn.Module:
    """A YOLOF: one level at stride 32."""
    trunk = backbone()
    neck = DilatedEncoder(trunk.channels[-1], channels)
    return DenseDetector(trunk, neck, YOLOFHead(classes, channels, anchors=_ANCHORS), levels=(3,))


_YOLOF = Variant(
    name="yolof_r50",
    paper="arXiv 2103.09460",
    summary="objects of all sizes on one level of ResNet-50, caffe style",
    build=build,
    form=Dense(_ANCHORS.strides, anchors=_ANCHORS.per_cell),
    classes_key="bbox_head.cls_score.weight",
    input=CAFFE_2,
    fusion=Fusion(1.0, 1.0, threshold_by="fused", rank_by="fused"),
    suppress=Suppress(iou=0.6),
    labels=COCO,
    published=openmmlab("yolof", "yolof_r50_c5_8x8_1x_coco", "_20210425_024427-8e864411", 37.5),
)

VARIANTS = (
    _YOLOF,
    _YOLOF.derive("yolof_test", "tiny YOLOF for tests", build={"backbone": TINY, "channels": 32}),
)
ALIASES = {"yolof": "yolof_r50"}
