"""Side-aware boundary localization (SABL, arXiv 1912.04260) in Faster R-CNN, Cascade R-CNN and RetinaNet."""

from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense, Proposed
from ..anchors import Anchors
from ..backbones.resnet import R50, R101, TINY, Backbone
from ..detector import DenseDetector
from ..heads.cascade import CascadeRoIHead
from ..heads.sabl import SABLHead
from ..heads.sabl_box import SABLBoxHead
from ..labels import COCO
from ..necks.fpn import FPN
from ..variant import Variant, openmmlab
from . import faster_rcnn

_SQUARES = Anchors(ratios=(1.0,), scales=(4.0,))


def build(
    classes: int, *, backbone: Backbone = R50, channels: int = 256, stacked: int = 4, norm: str | None = None
) -> nn.Module:
    """A RetinaNet that localizes by sides; `norm` is that of the head's branches."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(_SQUARES.strides), extra="input")
    return DenseDetector(trunk, neck, SABLHead(classes, channels, anchors=_SQUARES, stacked=stacked, norm=norm))


def build_faster(classes: int, **others: Any) -> nn.Module:
    """A Faster R-CNN that localizes by sides; `others` are Faster R-CNN's."""
    return faster_rcnn.build(classes, box_head=SABLBoxHead, **others)


def build_cascade(classes: int, *, channels: int = 256, width: int = 1024, **others: Any) -> nn.Module:
    """A Cascade R-CNN that localizes by sides; `others` are Faster R-CNN's."""
    network = faster_rcnn.build(classes, channels=channels, **others)
    features = network.roi_head.features
    heads = [
        SABLBoxHead(classes, channels, size=features.size, width=width, growth=growth) for growth in (1.7, 1.5, 1.3)
    ]
    network.roi_head = CascadeRoIHead(features, heads, inclusive=True)
    return network


_published = partial(openmmlab, "sabl")
_SABL = Variant(
    name="sabl_retinanet_r50",
    paper="arXiv 1912.04260",
    summary="RetinaNet whose boxes are found side by side",
    build=build,
    form=Dense(_SQUARES.strides, clip="last_pixel"),
    classes_key="bbox_head.retina_cls.weight",
    fusion=Fusion(1.0, 1.0),
    suppress=Suppress(iou=0.5),
    labels=COCO,
    published=_published("sabl_retinanet_r50_fpn_1x_coco", "-6c54fd4f", 37.7),
)


def _derived(name: str, summary: str, file: str, digest: str, ap: float, **build: object) -> Variant:
    published = _published(f"sabl_retinanet_{file}_coco", digest, ap)
    return _SABL.derive(f"sabl_retinanet_{name}", f"RetinaNet with SABL: {summary}", published, build=build)


_FASTER = replace(
    faster_rcnn.FASTER_RCNN,
    name="sabl_faster_r50",
    paper="arXiv 1912.04260",
    summary="Faster R-CNN whose boxes are found side by side: ResNet-50",
    build=build_faster,
    form=Proposed(clip="last_pixel"),
    fusion=Fusion(1.0, 1.0),
    published=_published("sabl_faster_rcnn_r50_fpn_1x_coco", "-e867595b", 39.9),
)
_CASCADE = replace(
    _FASTER,
    name="sabl_cascade_r50",
    summary="Cascade R-CNN whose boxes are found side by side: ResNet-50",
    build=build_cascade,
    classes_key="roi_head.bbox_head.0.fc_cls.weight",
    published=_published("sabl_cascade_rcnn_r50_fpn_1x_coco", "-e1748e5e", 41.6),
)

VARIANTS = (
    _FASTER,
    _FASTER.derive(
        "sabl_faster_r101",
        "Faster R-CNN with SABL: ResNet-101",
        _published("sabl_faster_rcnn_r101_fpn_1x_coco", "-f804c6c1", 41.7),
        build={"backbone": R101},
    ),
    _CASCADE,
    _CASCADE.derive(
        "sabl_cascade_r101",
        "Cascade R-CNN with SABL: ResNet-101",
        _published("sabl_cascade_rcnn_r101_fpn_1x_coco", "-2b83e87c", 43.0),
        build={"backbone": R101},
    ),
    _FASTER.derive("sabl_faster_test", "tiny Faster R-CNN with SABL for tests", build=faster_rcnn.SMALL),
    _SABL,
    _derived("r50_gn", "ResNet-50, group norm", "r50_fpn_gn_1x", "-e16dfcf1", 38.8, norm="gn"),
    _derived("r101", "ResNet-101", "r101_fpn_1x", "-42026904", 39.7, backbone=R101),
    _derived("r101_gn", "ResNet-101, group norm", "r101_fpn_gn_1x", "-40a893e8", 40.5, backbone=R101, norm="gn"),
    _derived(
        "r101_gn_2x_640_800",
        "ResNet-101, group norm, trained longer at 640 to 800 px",
        "r101_fpn_gn_2x_ms_640_800",
        "-1e63382c",
        42.9,
        backbone=R101,
        norm="gn",
    ),
    _derived(
        "r101_gn_2x_480_960",
        "ResNet-101, group norm, trained longer at 480 to 960 px",
        "r101_fpn_gn_2x_ms_480_960",
        "-5342f857",
        43.6,
        backbone=R101,
        norm="gn",
    ),
    _SABL.derive(
        "sabl_test", "tiny SABL for tests", build={"backbone": TINY, "channels": 32, "stacked": 1, "norm": "gn"}
    ),
)
ALIASES = {"sabl_faster": "sabl_faster_r50", "sabl_cascade": "sabl_cascade_r50", "sabl_retinanet": "sabl_retinanet_r50"}
