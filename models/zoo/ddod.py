"""DDOD (arXiv 2107.02963)."""

from typing import Any

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..backbones.resnet import R50, TINY, Backbone
from ..detector import DenseDetector
from ..heads.ddod import RENAMED, DDODHead
from ..labels import COCO
from ..necks.fpn import FPN
from ..variant import Variant, openmmlab

_ANCHORS = Anchors(ratios=(1.0,), scales=(8.0,))


def build(classes: int, *, backbone: Backbone = R50, channels: int = 256, **head: Any) -> nn.Module:
    """A DDOD. Other arguments go to its head."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(_ANCHORS.strides))
    return DenseDetector(trunk, neck, DDODHead(classes, channels, anchors=_ANCHORS, **head))


_DDOD = Variant(
    name="ddod_r50",
    paper="arXiv 2107.02963",
    summary="ATSS with samples, features and pyramid levels disentangled; predicts the IoU",
    build=build,
    form=Dense(_ANCHORS.strides),
    classes_key="bbox_head.atss_cls.weight",
    fusion=Fusion(1.0, 1.0),
    suppress=Suppress(conf=0.4),  # of the class score; the final score is its product with the IoU
    labels=COCO,
    published=openmmlab("ddod", "ddod_r50_fpn_1x_coco", "_20220523_223737-29b2fc67", 41.7),
    mapping=RENAMED,
)

VARIANTS = (
    _DDOD,
    _DDOD.derive("ddod_test", "tiny DDOD for tests", build={"backbone": TINY, "channels": 32, "stacked": 1}),
)
ALIASES = {"ddod": "ddod_r50"}
