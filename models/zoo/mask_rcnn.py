"""Mask R-CNN (arXiv 1703.06870)."""

from dataclasses import replace
from typing import Any

from torch import nn

from ...deploy.forms import Graph
from ..backbones.resnet import R50_CAFFE, R101, R101_CAFFE, X101_32X4D, X101_64X4D
from ..final import USUAL, FinalDetector
from ..heads.mask import MaskHead
from ..variant import CAFFE_2, RGB, openmmlab
from . import faster_rcnn


def build(classes: int, *, channels: int = 256, **others: Any) -> nn.Module:
    """A Mask R-CNN; `others` are Faster R-CNN's."""
    boxes = faster_rcnn.build(classes, channels=channels, **others)
    return FinalDetector(
        *(boxes.backbone, boxes.neck, boxes.rpn_head, boxes.roi_head),
        final_head=MaskHead(classes, channels),
        features=replace(boxes.roi_head.features, size=14),
    )


MASK_RCNN = replace(
    faster_rcnn.FASTER_RCNN,
    name="mask_rcnn_r50",
    paper="arXiv 1703.06870",
    summary="Faster R-CNN that finds a mask of each object: ResNet-50",
    build=build,
    form=Graph(),
    suppress=replace(faster_rcnn.FASTER_RCNN.suppress, max_det=USUAL.count),
    published=openmmlab("mask_rcnn", "mask_rcnn_r50_fpn_1x_coco", "_20200205-d4b0c5d6", 38.2),
    mapping={"^roi_head.mask_head.": "final_head."},
)

VARIANTS = (
    MASK_RCNN,
    *(
        MASK_RCNN.derive(
            f"mask_rcnn_{name}",
            f"Mask R-CNN: {words}",
            openmmlab("mask_rcnn", f"mask_rcnn_{stem}_coco", suffix, ap),
            build={"backbone": backbone},
            input=images,
        )
        for name, words, stem, suffix, ap, backbone, images in (
            (
                *("r50_caffe", "ResNet-50, caffe style", "r50_caffe_fpn_1x"),
                *("_bbox_mAP-0.38__segm_mAP-0.344_20200504_231812-0ebd1859", 38.0, R50_CAFFE, CAFFE_2),
            ),
            ("r101", "ResNet-101", "r101_fpn_1x", "_20200204-1efe0ed5", 40.0, R101, RGB),
            (
                *("r101_caffe", "ResNet-101, caffe style", "r101_caffe_fpn_1x"),
                *("_20200601_095758-805e06c1", 40.4, R101_CAFFE, CAFFE_2),
            ),
            ("x101_32x4d", "ResNeXt-101 32x4d", "x101_32x4d_fpn_1x", "_20200205-478d0b67", 41.9, X101_32X4D, RGB),
            ("x101_64x4d", "ResNeXt-101 64x4d", "x101_64x4d_fpn_1x", "_20200201-9352eb0d", 42.8, X101_64X4D, RGB),
        )
    ),
)
ALIASES = {"mask_rcnn": "mask_rcnn_r50"}
