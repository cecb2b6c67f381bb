"""IoU-Net (arXiv 1807.11590)."""

from dataclasses import replace

from torch import nn

from ...deploy.contract.suppression import Suppress
from ..backbones.resnet import R50, Backbone
from ..heads.bbox import BoxHead
from ..heads.iou_net import IoUHead, IoUNetRoIHead
from ..heads.rpn import RPNHead
from ..proposals import USUAL, ProposalRule
from ..regions import PreciseFeatures
from ..two_stage import TwoStageDetector
from .faster_rcnn import ANCHORS, FASTER_RCNN, POOLED, SMALL


def build(
    classes: int,
    *,
    backbone: Backbone = R50,
    channels: int = 256,
    width: int = 1024,
    rule: ProposalRule = USUAL,
    steps: int = 5,
) -> nn.Module:
    """An IoU-Net on a feature pyramid, whose heads have layers of `width`. Its boxes move at most `steps` times."""
    trunk, features = backbone(), PreciseFeatures()
    boxes = BoxHead(classes, channels, size=features.size, width=width, agnostic=True)
    fits = IoUHead(classes, channels, size=features.size, width=width)
    head = IoUNetRoIHead(features, boxes, fits, steps=steps)
    rpn = RPNHead(channels, anchors=ANCHORS, rule=rule)
    return TwoStageDetector(trunk, POOLED(trunk.channels, channels), rpn, head)


_R50 = replace(
    FASTER_RCNN,
    name="iou_net_r50",
    paper="arXiv 1807.11590",
    summary="boxes that know how well they fit, and move to fit better",
    build=build,
    suppress=Suppress("guided", iou=0.5),
    published=None,  # the authors have published none
)

VARIANTS = (_R50, _R50.derive("iou_net_test", "tiny IoU-Net for tests", build=SMALL | {"steps": 2}))
ALIASES = {"iou_net": "iou_net_r50"}
