"""Guided anchoring (arXiv 1901.03278) in RetinaNet."""

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..backbones.resnet import R50_CAFFE, R101_CAFFE, TINY, X101_32X4D, X101_64X4D, Backbone
from ..detector import DenseDetector
from ..heads.guided import GuidedRetinaHead
from ..labels import COCO
from ..necks.fpn import FPN
from ..variant import CAFFE_2, RGB, Variant, openmmlab

_SQUARES = Anchors(ratios=(1.0,), scales=(4.0,))


def build(classes: int, *, backbone: Backbone = R50_CAFFE, channels: int = 256, stacked: int = 4) -> nn.Module:
    """A RetinaNet whose anchors are predicted."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(_SQUARES.strides), extra="input")
    return DenseDetector(trunk, neck, GuidedRetinaHead(classes, channels, anchors=_SQUARES, stacked=stacked))


def _published(on: str, suffix: str, ap: float):
    return openmmlab("guided_anchoring", f"ga_retinanet_{on}_fpn_1x_coco", suffix, ap)


_R50 = Variant(
    name="ga_retinanet_r50",
    paper="arXiv 1901.03278",
    summary="RetinaNet with guided anchors: ResNet-50, caffe style",
    build=build,
    form=Dense(_SQUARES.strides, unit="points"),
    classes_key="bbox_head.retina_cls.weight",
    input=CAFFE_2,
    suppress=Suppress(iou=0.5),
    labels=COCO,
    published=_published("r50_caffe", "_20201020-39581c6f", 36.9),
)

VARIANTS = (
    _R50,
    _R50.derive(
        "ga_retinanet_r101",
        "RetinaNet with guided anchors: ResNet-101, caffe style",
        _published("r101_caffe", "_20200531-6266453c", 39.0),
        build={"backbone": R101_CAFFE},
    ),
    _R50.derive(
        "ga_retinanet_x101_32x4d",
        "RetinaNet with guided anchors: ResNeXt-101 32x4d",
        _published("x101_32x4d", "_20200219-40c56caa", 40.5),
        build={"backbone": X101_32X4D},
        input=RGB,
    ),
    _R50.derive(
        "ga_retinanet_x101_64x4d",
        "RetinaNet with guided anchors: ResNeXt-101 64x4d",
        _published("x101_64x4d", "_20200226-ef9f7f1f", 41.3),
        build={"backbone": X101_64X4D},
        input=RGB,
    ),
    _R50.derive(
        "ga_retinanet_test",
        "tiny RetinaNet with guided anchors for tests",
        build={"backbone": TINY, "channels": 32, "stacked": 1},
    ),
)
ALIASES = {"ga_retinanet": "ga_retinanet_r50"}
