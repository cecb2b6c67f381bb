"""NAS-FPN (arXiv 1904.07392) in RetinaNet."""

from dataclasses import replace
from typing import Any

from torch import nn

from ..backbones.resnet import R50, TINY, Backbone
from ..necks.nas_fpn import NASFPN
from ..variant import RGB, openmmlab, padded
from . import retinanet


def build(classes: int, *, backbone: Backbone = R50, channels: int = 256, repeats: int = 7, **others: Any) -> nn.Module:
    """A RetinaNet with batch norms in its head, whose pyramid is merged `repeats` times."""
    network = retinanet.build(classes, backbone=backbone, channels=channels, norms=True, **others)
    network.neck = NASFPN(network.backbone.channels[1:], channels, repeats=repeats)
    return network


_BASELINE = retinanet.RETINANET.derive(
    "retinanet_r50_crop640",
    "RetinaNet with batch norms all over, trained on crops of 640 px",
    openmmlab("nas_fpn", "retinanet_r50_fpn_crop640_50e_coco", "-9b953d76", 37.9),
    build={"norms": True, "relu": True},
    paper="arXiv 1904.07392",
    input=padded(RGB.placed(size=(640, 640)), multiple=64),
)
_NAS_FPN = replace(
    _BASELINE,
    name="nas_fpn_retinanet_r50",
    summary="RetinaNet on a pyramid that was searched for",
    published=openmmlab("nas_fpn", "retinanet_r50_nasfpn_crop640_50e_coco", "-0ad1f644", 40.5),
    build=build,
    form=replace(_BASELINE.form, floors=(1, 1, 1, 64, 128)),
    input=padded(RGB.placed(size=(640, 640)), multiple=128),
)

VARIANTS = (
    _BASELINE,
    _NAS_FPN,
    _NAS_FPN.derive(
        "nas_fpn_test",
        "tiny NAS-FPN for tests",
        build={"backbone": TINY, "channels": 32, "stacked": 1, "repeats": 2},
    ),
)
ALIASES = {"nas_fpn": "nas_fpn_retinanet_r50"}
