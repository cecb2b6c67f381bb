"""Libra R-CNN's balanced pyramid (arXiv 1904.02701) in RetinaNet."""

from dataclasses import replace
from typing import Any

from torch import nn

from ..backbones.resnet import TINY
from ..necks.libra import BalancedPyramid
from ..variant import openmmlab
from . import retinanet


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

VARIANTS = (
    _LIBRA,
    _LIBRA.derive(
        "libra_test", "tiny Libra RetinaNet for tests", build={"backbone": TINY, "channels": 32, "stacked": 1}
    ),
)
ALIASES = {"libra_retinanet": "libra_retinanet_r50"}
