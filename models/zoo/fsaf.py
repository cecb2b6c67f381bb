"""FSAF (arXiv 1903.00621)."""

from typing import Any

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..backbones.resnet import R50, R101, TINY, X101_64X4D, Backbone
from ..detector import DenseDetector
from ..heads.fsaf import FSAFHead
from ..labels import COCO
from ..necks.fpn import FPN
from ..variant import Variant, openmmlab, spelled

_ONE_PER_CELL = Anchors(ratios=(1.0,), scales=(1.0,))


def build(classes: int, *, backbone: Backbone = R50, channels: int = 256, **head: Any) -> nn.Module:
    """An FSAF. Other arguments go to its head."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(_ONE_PER_CELL.strides), extra="input")
    return DenseDetector(trunk, neck, FSAFHead(classes, channels, anchors=_ONE_PER_CELL, **head))


_FSAF = Variant(
    name="fsaf_r50",
    paper="arXiv 1903.00621",
    summary="a box per point, no anchors; trained on the pyramid level that fits an object best",
    build=build,
    form=Dense(_ONE_PER_CELL.strides),
    classes_key="bbox_head.retina_cls.weight",
    suppress=Suppress(iou=0.5),
    labels=COCO,
    published=openmmlab("fsaf", "fsaf_r50_fpn_1x_coco", "-94ccc51f", 37.4),
)


def _fsaf(on: str, backbone: Backbone, suffix: str, ap: float) -> Variant:
    published = openmmlab("fsaf", f"fsaf_{on}_fpn_1x_coco", suffix, ap)
    return _FSAF.derive(f"fsaf_{on}", f"FSAF: {spelled(on)}", published, build={"backbone": backbone})


VARIANTS = (
    _FSAF,
    _fsaf("r101", R101, "-9e71098f", 39.3),
    _fsaf("x101_64x4d", X101_64X4D, "-e3f6e6fd", 42.4),
    _FSAF.derive("fsaf_test", "tiny FSAF for tests", build={"backbone": TINY, "channels": 32, "stacked": 1}),
)
ALIASES = {"fsaf": "fsaf_r50"}
