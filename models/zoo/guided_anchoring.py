"""Guided anchoring (arXiv 1901.03278) in Faster R-CNN and RetinaNet."""

from dataclasses import replace
from functools import partial

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ...deploy.inputs.network_inputs import ImageInput
from ..anchors import Anchors
from ..backbones.resnet import R50_CAFFE, R101_CAFFE, TINY, X101_32X4D, X101_64X4D, Backbone
from ..detector import DenseDetector
from ..heads.bbox import BoxHead
from ..heads.guided import GuidedRetinaHead
from ..heads.guided_rpn import GuidedRPNHead
from ..labels import COCO
from ..necks.fpn import FPN
from ..proposals import ProposalRule
from ..variant import CAFFE_2, RGB, Variant, openmmlab
from . import faster_rcnn

_SQUARES = Anchors(ratios=(1.0,), scales=(4.0,))


def build(classes: int, *, backbone: Backbone = R50_CAFFE, channels: int = 256, stacked: int = 4) -> nn.Module:
    """A RetinaNet whose anchors are predicted."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(_SQUARES.strides), extra="input")
    return DenseDetector(trunk, neck, GuidedRetinaHead(classes, channels, anchors=_SQUARES, stacked=stacked))


def build_faster(
    classes: int, *, backbone: Backbone = R50_CAFFE, channels: int = 256, width: int = 1024, top_k: int = 1000
) -> nn.Module:
    """A Faster R-CNN whose anchors are predicted."""
    box_head = partial(BoxHead, stds=(0.05, 0.05, 0.1, 0.1))
    network = faster_rcnn.build(classes, backbone=backbone, channels=channels, width=width, box_head=box_head)
    squares = replace(faster_rcnn.ANCHORS, ratios=(1.0,))
    network.rpn_head = GuidedRPNHead(channels, anchors=squares, rule=ProposalRule(top_k, count=min(300, top_k)))
    return network


def _faster(on: str, described: str, suffix: str, ap: float, backbone: Backbone, images: ImageInput) -> Variant:
    return replace(faster_rcnn.FASTER_RCNN, build=build_faster).derive(
        f"ga_faster_{on.removesuffix('_caffe')}",
        f"Faster R-CNN with guided anchors: {described}",
        openmmlab("guided_anchoring", f"ga_faster_{on}_fpn_1x_coco", suffix, ap),
        build={"backbone": backbone},
        paper="arXiv 1901.03278",
        input=images,
    )


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
    _faster("r50_caffe", "ResNet-50, caffe style", "_20200702_000718-a11ccfe6", 39.6, R50_CAFFE, CAFFE_2),
    _faster(
        *("r101_caffe", "ResNet-101, caffe style", "_bbox_mAP-0.415_20200505_115528-fb82e499", 41.5),
        *(R101_CAFFE, CAFFE_2),
    ),
    _faster("x101_32x4d", "ResNeXt-101 32x4d", "_20200215-1ded9da3", 43.0, X101_32X4D, RGB),
    _faster("x101_64x4d", "ResNeXt-101 64x4d", "_20200215-0fa7bde7", 43.9, X101_64X4D, RGB),
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
ALIASES = {"ga_faster": "ga_faster_r50", "ga_retinanet": "ga_retinanet_r50"}
