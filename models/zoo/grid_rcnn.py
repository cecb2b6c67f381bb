"""Grid R-CNN (arXiv 1811.12030)."""

from dataclasses import replace
from typing import Any

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Proposed
from ..backbones.resnet import R101, X101_32X4D, X101_64X4D
from ..final import FinalRoIHead, FinalRule
from ..heads.bbox import ClassHead
from ..heads.grid import GridHead
from ..variant import openmmlab
from . import faster_rcnn


def build(classes: int, *, channels: int = 256, points: int = 64, convs: int = 8, **others: Any) -> nn.Module:
    """A Grid R-CNN whose grid has `points` channels for each point in `convs` layers; `others` are Faster R-CNN's."""
    network = faster_rcnn.build(classes, channels=channels, box_head=ClassHead, **others)
    first = network.roi_head
    network.roi_head = FinalRoIHead(
        first.features,
        first.bbox_head,
        replace(first.features, size=14),
        GridHead(channels, width=points, convs=convs),
        FinalRule(conf=0.03, iou=0.3),
    )
    return network


_GRID = replace(
    faster_rcnn.FASTER_RCNN,
    name="grid_rcnn_r50",
    paper="arXiv 1811.12030",
    summary="Faster R-CNN whose final boxes are found by a grid of points: ResNet-50",
    build=build,
    form=Proposed(clip="none"),
    suppress=Suppress("none"),
    published=openmmlab("grid_rcnn", "grid_rcnn_r50_fpn_gn-head_2x_coco", "_20200130-6cca8223", 40.4),
    mapping={"^roi_head.grid_head.": "roi_head.final_head."},
)

VARIANTS = (
    _GRID,
    *(
        _GRID.derive(f"grid_rcnn_{name}", f"Grid R-CNN: {words}", build={"backbone": backbone})
        for name, words, backbone in (
            ("r101", "ResNet-101", R101),
            ("x101_32x4d", "ResNeXt-101 32x4d", X101_32X4D),
            ("x101_64x4d", "ResNeXt-101 64x4d", X101_64X4D),
        )
    ),
    _GRID.derive("grid_rcnn_test", "tiny Grid R-CNN for tests", build=faster_rcnn.SMALL | {"points": 32, "convs": 2}),
)
ALIASES = {"grid_rcnn": "grid_rcnn_r50"}
