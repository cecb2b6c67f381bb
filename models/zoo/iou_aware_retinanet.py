"""IoU-aware RetinaNet (arXiv 1912.05992)."""

from dataclasses import replace
from functools import partial

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..backbones.resnet import R101, TINY, X101_32X4D
from .retinanet import RETINANET, build

# Written on mmdet 0.6, whose coordinates, and whose habit of ranking whole points, it shares.
_ANCHORS = Anchors(centre=0.5, inclusive=True, rounded="corners")
_R50 = replace(
    RETINANET,
    name="iou_aware_retinanet_r50",
    paper="arXiv 1912.05992",
    summary="RetinaNet that predicts how well its boxes fit",
    build=partial(build, anchors=_ANCHORS, with_iou=True),
    form=Dense(_ANCHORS.strides, anchors=_ANCHORS.per_cell, unit="points", clip="last_pixel"),
    # Equation 6: score ** a * IoU ** (1 - a). The paper prefers a = 0.5.
    fusion=Fusion(0.5, 0.5, threshold_by="fused", rank_by="fused"),
    suppress=Suppress(conf=0.4, iou=0.5, inclusive=True),  # square roots: 0.4 is a score of 0.25 in a box of IoU 0.64
    published=None,
)

VARIANTS = (
    _R50,
    _R50.derive("iou_aware_retinanet_r101", "IoU-aware RetinaNet: ResNet-101", build={"backbone": R101}),
    _R50.derive("iou_aware_retinanet_x101_32x4d", "IoU-aware RetinaNet: ResNeXt-101", build={"backbone": X101_32X4D}),
    _R50.derive(
        "iou_aware_retinanet_test",
        "tiny IoU-aware RetinaNet for tests",
        build={"backbone": TINY, "channels": 32, "stacked": 1},
    ),
)
ALIASES = {"iou_aware_retinanet": "iou_aware_retinanet_r50"}
