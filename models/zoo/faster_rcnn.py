"""Faster R-CNN (arXiv 1506.01497) with a feature pyramid (arXiv 1612.03144)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Proposed
from ...deploy.inputs.network_inputs import SizeInput
from ..anchors import Anchors
from ..backbones.resnet import R50, TINY, Backbone
from ..heads.bbox import BoxHead
from ..heads.rpn import RPNHead
from ..labels import COCO
from ..necks.fpn import FPN
from ..proposals import USUAL, ProposalRule
from ..regions import RegionFeatures
from ..two_stage import RoIHead, TwoStageDetector
from ..variant import Variant, openmmlab

ANCHORS = Anchors((4, 8, 16, 32, 64), scales=(8.0,))
POOLED = partial(FPN, levels=len(ANCHORS.strides), extra="pool")


def build(
    classes: int,
    *,
    backbone: Backbone = R50,
    channels: int = 256,
    width: int = 1024,
    rule: ProposalRule = USUAL,
    neck: Callable[..., nn.Module] = POOLED,
    box_head: Callable[..., nn.Module] = BoxHead,
    legacy: bool = False,
) -> nn.Module:
    """A Faster R-CNN whose box head has layers of `width`.

    `neck` takes the channels of the levels C2 to C5 and those of the pyramid. The `legacy` form is that of mmdet before
    1.1: boxes end at their last pixel, and the background is the first class.
    """
    trunk = backbone()
    anchors, features = ANCHORS, RegionFeatures()
    if legacy:
        anchors = replace(anchors, centre=0.5, inclusive=True, rounded="corners")
        features = replace(features, sampling=2, aligned=False, inclusive=True)
        rule, box_head = replace(rule, inclusive=True), partial(box_head, legacy=True)
    rpn = RPNHead(channels, anchors=anchors, rule=rule)
    return TwoStageDetector(
        trunk,
        neck(trunk.channels, channels),
        rpn,
        RoIHead(features, box_head(classes, channels, size=features.size, width=width)),
    )


FASTER_RCNN = Variant(
    name="faster_rcnn_r50",
    paper="arXiv 1506.01497",
    summary="the two-stage detector, with a feature pyramid",
    build=build,
    form=Proposed(),
    classes_key="roi_head.bbox_head.fc_cls.weight",
    beside_classes=1,
    other_inputs=(SizeInput(),),
    suppress=Suppress(iou=0.5),
    labels=COCO,
    published=openmmlab("faster_rcnn", "faster_rcnn_r50_fpn_1x_coco", "_20200130-047c8118", 37.4),
)

SMALL = {"backbone": TINY, "channels": 32, "width": 32, "rule": ProposalRule(top_k=100, count=100)}
"""Arguments of `build` for tiny networks."""

VARIANTS = (
    FASTER_RCNN,
    FASTER_RCNN.derive(
        "faster_rcnn_test",
        "tiny Faster R-CNN for tests",
        build=SMALL,
    ),
)
ALIASES = {"faster_rcnn": "faster_rcnn_r50"}
