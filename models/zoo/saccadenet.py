"""SaccadeNet (arXiv 2003.12125)."""

from dataclasses import replace
from typing import Any

from torch import nn

from ..heads.saccade import SaccadeHead
from ..variant import Published
from . import centernet

_ROUNDS = {"^agg_att.": "bbox_head.agg_att.0.", "^agg_att_1.": "bbox_head.agg_att.1."}


def build(classes: int, *, rounds: int = 1, depth: int = 18, **others: Any) -> nn.Module:
    """A SaccadeNet on a ResNet; `others` are CenterNet's."""
    network = centernet.build(classes, depth=depth, deformable=True, bias=True, **others)
    width = others.get("channels", (64,))[-1]
    network.bbox_head = SaccadeHead(classes, width, rounds=rounds)
    return network


def build_dla(classes: int, *, recentred: bool = False) -> nn.Module:
    """A SaccadeNet on DLA-34."""
    network = centernet.build_dla(classes)
    network.bbox_head = SaccadeHead(classes, network.backbone.channels[2], 256, recentred=recentred)
    return network


# The heatmap of corners serves training alone. The authors keep their weights on a drive; AP without flips.
_R18 = replace(
    centernet.AUTHORS,
    name="saccadenet_r18",
    paper="arXiv 2003.12125",
    summary="CenterNet whose boxes attend to their corners: ResNet-18",
    build=build,
    published=Published(None, 30.5),
    mapping={**centernet.RESNET, **_ROUNDS},
    unused=("cor_att.",),
)
_DLA34 = replace(
    _R18,
    name="saccadenet_dla34",
    summary="SaccadeNet on DLA-34",
    build=build_dla,
    published=Published(None, 38.5),
    mapping={**centernet.DLA, **_ROUNDS},
    unused=("cor_att.", "base.level3.project.", "base.level4.project.", "base.fc."),
)

VARIANTS = (
    _R18,
    _R18.derive("saccadenet_r18_2agg", "SaccadeNet on ResNet-18 that looks twice", build={"rounds": 2}),
    _DLA34,
    _DLA34.derive(
        "saccadenet_dla34_ctreg", "SaccadeNet on DLA-34 that corrects centres too", build={"recentred": True}
    ),
    _R18.derive("saccadenet_test", "tiny SaccadeNet for tests", build={"width": 8, "channels": (32, 16, 16)}),
)
# The authors name a second mode of attention, which their code never takes.
ALIASES = {"saccadenet": "saccadenet_dla34", "saccadenet_dla34_v2_ctreg": "saccadenet_dla34_ctreg"}
