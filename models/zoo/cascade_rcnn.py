"""Cascade R-CNN (arXiv 1712.00726), with masks (arXiv 1906.09756), and the boxes of HTC (arXiv 1901.07518)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from ...deploy.forms import Graph
from ..backbones.resnet import DCN_C3_C5, R50, R101, X101_32X4D, X101_64X4D
from ..final import USUAL as FINAL
from ..final import FinalDetector
from ..heads.bbox import BoxHead
from ..heads.cascade import CascadeRoIHead
from ..heads.mask import MaskHead
from ..heads.mask_cascade import MaskHeads
from ..heads.rpn import RPNHead
from ..proposals import USUAL, ProposalRule
from ..regions import RegionFeatures
from ..two_stage import TwoStageDetector
from ..variant import openmmlab
from .faster_rcnn import ANCHORS, FASTER_RCNN, POOLED, SMALL

_STDS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))


def build(
    classes: int,
    *,
    backbone: Callable[[], Any] = R50,
    channels: int = 256,
    width: int = 1024,
    rule: ProposalRule = USUAL,
    neck: Callable[..., nn.Module] = POOLED,
    levels: tuple[int, ...] = (0, 1, 2, 3),
    masks: bool = False,
) -> nn.Module:
    """A Cascade R-CNN whose three box heads have layers of `width`; `neck` takes these `levels` of the backbone.

    With `masks` it is a Cascade Mask R-CNN.
    """
    trunk, features = backbone(), RegionFeatures()
    heads = [BoxHead(classes, channels, size=features.size, width=width, stds=stds, agnostic=True) for stds in _STDS]
    rpn = RPNHead(channels, anchors=ANCHORS, rule=rule)
    parts = trunk, neck(trunk.channels, channels), rpn, CascadeRoIHead(features, heads), levels
    if not masks:
        return TwoStageDetector(*parts)
    final_head = MaskHeads(MaskHead(classes, channels) for _ in heads)
    return FinalDetector(*parts, final_head=final_head, features=replace(features, size=14))


CASCADE_RCNN = replace(
    FASTER_RCNN,
    name="cascade_rcnn_r50",
    paper="arXiv 1712.00726",
    summary="the two-stage detector with three box heads in a row",
    build=build,
    classes_key="roi_head.bbox_head.0.fc_cls.weight",
    published=openmmlab("cascade_rcnn", "cascade_rcnn_r50_fpn_1x_coco", "_20200316-3dc56deb", 40.3),
)
_MASKS = replace(
    CASCADE_RCNN,
    name="cascade_mask_rcnn_r50",
    paper="arXiv 1906.09756",
    summary="Cascade R-CNN that finds a mask of each object: ResNet-50",
    build=partial(build, masks=True),
    form=Graph(),
    suppress=replace(CASCADE_RCNN.suppress, max_det=FINAL.count),
    published=openmmlab("cascade_rcnn", "cascade_mask_rcnn_r50_fpn_1x_coco", "_20200203-9d4dcb24", 41.2),
    mapping={"^roi_head.mask_head.": "final_head."},
)

VARIANTS = (
    CASCADE_RCNN,
    CASCADE_RCNN.derive("cascade_rcnn_r101", "Cascade R-CNN: ResNet-101", build={"backbone": R101}),
    CASCADE_RCNN.derive("cascade_rcnn_x101_32x4d", "Cascade R-CNN: ResNeXt-101 32x4d", build={"backbone": X101_32X4D}),
    CASCADE_RCNN.derive("cascade_rcnn_x101_64x4d", "Cascade R-CNN: ResNeXt-101 64x4d", build={"backbone": X101_64X4D}),
    CASCADE_RCNN.derive(
        "cascade_rcnn_r50_dcn",
        "Cascade R-CNN: ResNet-50, deformable",
        openmmlab("dcn", "cascade_rcnn_r50_fpn_dconv_c3-c5_1x_coco", "_20200130-2f1fca44", 43.8),
        build={"backbone": partial(R50, deformable=DCN_C3_C5)},
    ),
    CASCADE_RCNN.derive(
        "htc_nosem_r50",
        "the boxes of HTC without semantic segmentation: ResNet-50",
        build={},
        paper="arXiv 1901.07518",
        unused=("roi_head.mask_head.",),
    ),
    CASCADE_RCNN.derive(
        "cascade_rcnn_test",
        "tiny Cascade R-CNN for tests",
        build=SMALL,
    ),
    _MASKS,
    *(
        _MASKS.derive(
            f"cascade_mask_rcnn_{name}",
            f"Cascade Mask R-CNN: {words}",
            openmmlab("cascade_rcnn", f"cascade_mask_rcnn_{name}_fpn_1x_coco", f"_{suffix}", ap),
            build={"backbone": backbone},
        )
        for name, words, suffix, ap, backbone in (
            ("r101", "ResNet-101", "20200203-befdf6ee", 42.9, R101),
            ("x101_32x4d", "ResNeXt-101 32x4d", "20200201-0f411b1f", 44.3, X101_32X4D),
            ("x101_64x4d", "ResNeXt-101 64x4d", "20200203-9a2db89d", 45.3, X101_64X4D),
        )
    ),
)
ALIASES = {"cascade_rcnn": "cascade_rcnn_r50", "cascade_mask_rcnn": "cascade_mask_rcnn_r50"}
