"""D2Det (Cao et al., "D2Det: Towards High Quality Object Detection and Instance Segmentation", CVPR 2020), as of mmdet
before 1.1."""

from dataclasses import replace
from functools import partial

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Proposed
from ..backbones.resnet import DCN_C3_C5, R50, R101, Backbone
from ..final import FinalRoIHead, FinalRule
from ..heads.bbox import ClassHead
from ..heads.d2det import DeformableRegions, DenseBoxHead
from ..heads.rpn import RPNHead
from ..proposals import USUAL, ProposalRule
from ..two_stage import TwoStageDetector
from ..variant import Published
from .faster_rcnn import FASTER_RCNN, LEGACY_ANCHORS, LEGACY_FEATURES, POOLED, SMALL


def build(
    classes: int,
    *,
    backbone: Backbone = R50,
    channels: int = 256,
    width: int = 1024,
    rule: ProposalRule = USUAL,
    samples: int = 2,
) -> nn.Module:
    """A D2Det whose second stage has layers of `width`, and `samples` points per side of a bin for the classes."""
    trunk = backbone()
    rpn = RPNHead(channels, anchors=LEGACY_ANCHORS, rule=replace(rule, inclusive=True))
    head = FinalRoIHead(
        DeformableRegions(LEGACY_FEATURES, channels, width, samples),
        ClassHead(classes, channels, size=LEGACY_FEATURES.size, width=width, background_first=True),
        replace(LEGACY_FEATURES, size=2 * LEGACY_FEATURES.size),
        DenseBoxHead(channels, width * 9 // 16),
        FinalRule(conf=0.03, count=125, inclusive=True),
    )
    return TwoStageDetector(trunk, POOLED(trunk.channels, channels), rpn, head)


# The authors' checkpoints are on a drive.
_D2DET = replace(
    FASTER_RCNN,
    name="d2det_r50",
    paper="doi 10.1109/CVPR42600.2020.01150",
    summary="the two-stage detector whose boxes are means over the cells of a region",
    build=build,
    form=Proposed(clip="none"),
    suppress=Suppress("linear", iou=0.5, floor=1e-3, inclusive=True),
    published=Published(None, 43.7),
    mapping={
        "^bbox_roi_extractor.": "roi_head.features.",
        "^bbox_head.": "roi_head.bbox_head.",
        "^D2Det_head.": "roi_head.final_head.",
    },
)
_R101 = {"backbone": R101, "samples": 1}
_R101_DCN = {"backbone": partial(R101, deformable=DCN_C3_C5), "samples": 1}

VARIANTS = (
    _D2DET,
    _D2DET.derive("d2det_r101", "D2Det: ResNet-101", Published(None, 44.9), build=_R101),
    _D2DET.derive("d2det_r101_dcn", "D2Det: ResNet-101, deformable", Published(None, 46.9), build=_R101_DCN),
    _D2DET.derive("d2det_test", "tiny D2Det for tests", build=SMALL | {"width": 64}),
)
ALIASES = {"d2det": "d2det_r50"}
