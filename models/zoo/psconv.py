"""Poly-scale convolutions (PSConv, arXiv 2007.06191) in Faster R-CNN, as of mmdet before 1.1."""

from dataclasses import replace
from typing import Any

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Proposed
from ..backbones.psconv import poly_scale
from ..backbones.resnet import R50, R101, TINY_BOTTLENECKS, X101_32X4D, Backbone
from ..variant import Published
from . import faster_rcnn
from .faster_rcnn import FASTER_RCNN, SMALL


def build(classes: int, *, backbone: Backbone = R50, **others: Any) -> nn.Module:
    """A Faster R-CNN with poly-scale convolutions in its backbone; `others` are Faster R-CNN's."""
    return faster_rcnn.build(classes, backbone=lambda: poly_scale(backbone()), legacy=True, **others)


_PSCONV = replace(
    FASTER_RCNN,
    name="psconv_faster_r50",
    paper="arXiv 2007.06191",
    summary="Faster R-CNN on a ResNet with poly-scale convolutions",
    build=build,
    form=Proposed(clip="last_pixel"),
    suppress=Suppress(iou=0.5, inclusive=True),
    published=Published(None, 38.4),  # theirs are on a drive
    mapping={"^bbox_head.": "roi_head.bbox_head."},
)

VARIANTS = (
    _PSCONV,
    _PSCONV.derive("psconv_faster_r101", "PSConv: ResNet-101", Published(None, 40.9), build={"backbone": R101}),
    _PSCONV.derive(
        "psconv_faster_x101_32x4d", "PSConv: ResNeXt-101", Published(None, 41.3), build={"backbone": X101_32X4D}
    ),
    _PSCONV.derive("psconv_test", "tiny PSConv for tests", build={**SMALL, "backbone": TINY_BOTTLENECKS}),
)
ALIASES = {"psconv": "psconv_faster_r50"}
