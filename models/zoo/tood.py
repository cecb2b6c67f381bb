"""TOOD (arXiv 2108.07755)."""

from functools import partial
from typing import Any

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..backbones.resnet import DCN_V2_C3_C5, R50, R101, TINY, X101_64X4D, Backbone
from ..detector import DenseDetector
from ..heads.tood import TOODHead
from ..labels import COCO
from ..necks.fpn import FPN
from ..variant import Published, Variant, openmmlab

_ANCHORS = Anchors(ratios=(1.0,), scales=(8.0,))


def build(classes: int, *, backbone: Backbone = R50, channels: int = 256, **head: Any) -> nn.Module:
    """A TOOD. Other arguments go to its head."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(_ANCHORS.strides))
    return DenseDetector(trunk, neck, TOODHead(classes, channels, anchors=_ANCHORS, **head))


_TOOD = Variant(
    name="tood_r50",
    paper="arXiv 2108.07755",
    summary="one tower for both tasks, aligned with each other; a box per point",
    build=build,
    form=Dense(_ANCHORS.strides, clip="none"),
    classes_key="bbox_head.tood_cls.weight",
    # Section 3.2: the score is the geometric mean of the class score and the alignment.
    fusion=Fusion(0.5, 0.5, threshold_by="fused", rank_by="fused"),
    suppress=Suppress(conf=0.4),
    labels=COCO,
    published=openmmlab("tood", "tood_r50_fpn_1x_coco", "_20211210_103425-20e20746", 42.4),
)


def _tood(name: str, summary: str, published: Published, **build: Any) -> Variant:
    return _TOOD.derive(f"tood_{name}", f"TOOD: {summary}", published, build=build)


_DCN = partial(R101, deformable=DCN_V2_C3_C5)
_TINY = {"backbone": TINY, "channels": 32, "stacked": 2}
VARIANTS = (
    _TOOD,
    _tood(
        "r50_anchor_based",
        "ResNet-50, boxes from anchors",
        openmmlab("tood", "tood_r50_fpn_anchor_based_1x_coco", "_20211214_100105-b776c134", 42.4),
        from_anchors=True,
    ),
    _tood(
        "r50_2x",
        "ResNet-50, 2x schedule",
        openmmlab("tood", "tood_r50_fpn_mstrain_2x_coco", "_20211210_144231-3b23174c", 44.5),
    ),
    _tood(
        "r101_2x",
        "ResNet-101, 2x schedule",
        openmmlab("tood", "tood_r101_fpn_mstrain_2x_coco", "_20211210_144232-a18f53c8", 46.1),
        backbone=R101,
    ),
    _tood(
        "r101_dcnv2_2x",
        "ResNet-101, modulated deformable C3 to C5 and tower start, 2x schedule",
        openmmlab("tood", "tood_r101_fpn_dconv_c3-c5_mstrain_2x_coco", "_20211210_213728-4a824142", 49.3),
        backbone=_DCN,
        deformable=2,
    ),
    _tood(
        "x101_64x4d_2x",
        "ResNeXt-101 64x4d, 2x schedule",
        openmmlab("tood", "tood_x101_64x4d_fpn_mstrain_2x_coco", "_20211211_003519-a4f36113", 47.6),
        backbone=X101_64X4D,
    ),
    _TOOD.derive("tood_test", "tiny TOOD for tests", build=_TINY),
    _TOOD.derive(
        "tood_anchor_based_test",
        "tiny deformable TOOD with anchors for tests",
        build=_TINY | {"from_anchors": True, "deformable": 1},
    ),
)
ALIASES = {"tood": "tood_r50"}
