"""Libra R-CNN's balanced pyramid (arXiv 1904.02701) in Faster R-CNN and RetinaNet."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from ..backbones.resnet import R101, TINY, X101_64X4D
from ..necks.libra import BalancedPyramid
from ..variant import Variant, openmmlab
from . import retinanet
from .faster_rcnn import FASTER_RCNN, POOLED


def balanced(in_channels: Sequence[int], channels: int) -> nn.Module:
    """Faster R-CNN's pyramid, whose levels are balanced in the size of P4."""
    return nn.Sequential(POOLED(in_channels, channels), BalancedPyramid(channels, 2))


def build(classes: int, *, channels: int = 256, **others: Any) -> nn.Module:
    """A RetinaNet whose levels are balanced in the size of P4; `others` are RetinaNet's."""
    network = retinanet.build(classes, channels=channels, **others)
    network.neck = nn.Sequential(network.neck, BalancedPyramid(channels, 1))
    return network


_LIBRA = replace(
    retinanet.RETINANET,
    name="libra_retinanet_r50",
    paper="arXiv 1904.02701",
    summary="RetinaNet with levels balanced by their mean",
    build=build,
    published=openmmlab("libra_rcnn", "libra_retinanet_r50_fpn_1x_coco", "_20200205-804d94ce", 37.6),
)


def _faster(on: str, described: str, suffix: str, ap: float, **build: Any) -> Variant:
    return FASTER_RCNN.derive(
        f"libra_faster_{on}",
        f"Faster R-CNN with levels balanced by their mean: {described}",
        openmmlab("libra_rcnn", f"libra_faster_rcnn_{on}_fpn_1x_coco", suffix, ap),
        build={"neck": balanced, **build},
        paper="arXiv 1904.02701",
    )


VARIANTS = (
    _faster("r50", "ResNet-50", "_20200130-3afee3a9", 38.3),
    _faster("r101", "ResNet-101", "_20200203-8dba6a5a", 40.1, backbone=R101),
    _faster("x101_64x4d", "ResNeXt-101 64x4d", "_20200315-3a7d0488", 42.7, backbone=X101_64X4D),
    _LIBRA,
    _LIBRA.derive(
        "libra_test", "tiny Libra RetinaNet for tests", build={"backbone": TINY, "channels": 32, "stacked": 1}
    ),
)
ALIASES = {"libra_retinanet": "libra_retinanet_r50", "libra_faster": "libra_faster_r50"}
