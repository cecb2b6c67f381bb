"""Hit-Detector (arXiv 2003.11818), whose backbone, neck and head were searched together, as of mmdet before 1.1."""

from dataclasses import replace
from typing import Any

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Proposed
from ..backbones.fbnet import HitBackbone, SearchedBlock
from ..heads.bbox import BoxHead
from ..necks.hit import HitNeck
from . import faster_rcnn

_KERNELS = (5, 3, 5, 5)


def box_head(classes: int, channels: int, **others: Any) -> BoxHead:
    """A box head of the convolutions that the search found, and one layer."""
    head = BoxHead(classes, channels, depth=1, **others)
    head.shared_convs = nn.Sequential(*(SearchedBlock(channels, channels, kernel, 6) for kernel in _KERNELS))
    return head


def build(classes: int, *, base: int = 16, width: int = 512, **others: Any) -> nn.Module:
    """A Hit-Detector whose backbone's stem has `base` channels; `others` are Faster R-CNN's."""
    parts = {"backbone": lambda: HitBackbone(base), "neck": HitNeck, "box_head": box_head}
    return faster_rcnn.build(classes, **parts, width=width, legacy=True, **others)


_HIT = replace(
    faster_rcnn.FASTER_RCNN,
    name="hitdet",
    paper="arXiv 2003.11818",
    summary="Faster R-CNN whose backbone, neck and head were searched together",
    build=build,
    form=Proposed(clip="last_pixel"),
    suppress=Suppress(iou=0.5, inclusive=True),
    published=None,  # the authors have the backbone's weights alone
    mapping={
        "^neck.SearchNeck.": "neck.",
        "^bbox_head.SearchHead.cells.": "roi_head.bbox_head.shared_convs.",
        "^bbox_head.": "roi_head.bbox_head.",
    },
)

VARIANTS = (
    _HIT,
    _HIT.derive(
        "hitdet_test",
        "tiny Hit-Detector for tests",
        build={"base": 4, **{name: faster_rcnn.SMALL[name] for name in ("channels", "width", "rule")}},
    ),
)
ALIASES = {"hit_detector": "hitdet"}
