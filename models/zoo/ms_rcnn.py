"""Mask Scoring R-CNN (arXiv 1903.00241)."""

from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from ...deploy.contract.fusion import Fusion
from ..backbones.resnet import R50_CAFFE, R101_CAFFE, X101_32X4D, X101_64X4D
from ..heads.mask_scoring import MaskIoUHead, ScoredMaskHead
from ..variant import CAFFE_2, RGB, openmmlab
from . import mask_rcnn
from .faster_rcnn import SMALL


def build(classes: int, *, channels: int = 256, width: int = 1024, **others: Any) -> nn.Module:
    """A Mask Scoring R-CNN with layers of `width` for boxes and for the IoUs of masks; `others` are Faster R-CNN's."""
    network = mask_rcnn.build(classes, channels=channels, width=width, **others)
    scores = MaskIoUHead(classes, channels, size=network.features.size, width=width)
    network.final_head = ScoredMaskHead(network.final_head, scores)
    return network


_SCORED = replace(
    mask_rcnn.MASK_RCNN,
    name="ms_rcnn_r50_caffe",
    paper="arXiv 1903.00241",
    summary="Mask R-CNN that predicts the IoU of each mask: ResNet-50, caffe style",
    build=partial(build, backbone=R50_CAFFE),
    input=CAFFE_2,
    fusion=Fusion(1.0, 1.0),
    published=openmmlab("ms_rcnn", "ms_rcnn_r50_caffe_fpn_1x_coco", "_20200702_180848-61c9355e", 38.2),
    mapping={"^roi_head.mask_head.": "final_head.mask_head.", "^roi_head.mask_iou_head.": "final_head.mask_iou_head."},
)

VARIANTS = (
    _SCORED,
    *(
        _SCORED.derive(
            f"ms_rcnn_{name}",
            f"Mask Scoring R-CNN: {words}",
            openmmlab("ms_rcnn", f"ms_rcnn_{stem}_coco", suffix, ap),
            build={"backbone": backbone},
            input=images,
        )
        for name, words, stem, suffix, ap, backbone, images in (
            (
                *("r101_caffe", "ResNet-101, caffe style", "r101_caffe_fpn_1x"),
                *("_bbox_mAP-0.404__segm_mAP-0.376_20200506_004755-b9b12a37", 40.4, R101_CAFFE, CAFFE_2),
            ),
            ("x101_32x4d", "ResNeXt-101 32x4d", "x101_32x4d_fpn_1x", "_20200206-81fd1740", 41.8, X101_32X4D, RGB),
            ("x101_64x4d", "ResNeXt-101 64x4d", "x101_64x4d_fpn_1x", "_20200206-86ba88d2", 43.0, X101_64X4D, RGB),
        )
    ),
    _SCORED.derive("ms_rcnn_test", "tiny Mask Scoring R-CNN for tests", build=SMALL, input=RGB),
)
ALIASES = {"ms_rcnn": "ms_rcnn_r50_caffe"}
