"""Feature Pyramid Transformer (arXiv 2007.09451) in RetinaNet."""

from dataclasses import replace
from typing import Any, Literal

from torch import nn

from ..backbones.resnet import R50, R101, TINY, Backbone
from ..necks.fpt import FPT
from . import retinanet


def build(
    classes: int,
    *,
    backbone: Backbone = R50,
    channels: int = 256,
    grounding: Literal["dot", "embedded", "local"] = "dot",
    **others: Any,
) -> nn.Module:
    """A RetinaNet whose pyramid levels attend to each other."""
    network = retinanet.build(classes, backbone=backbone, channels=channels, **others)
    network.neck = FPT(network.backbone.channels[1:], channels, grounding=grounding)
    return network


_FPT = replace(
    retinanet.RETINANET,
    name="fpt_retinanet_r50",
    paper="arXiv 2007.09451",
    summary="RetinaNet on pyramid levels that attend to each other",
    published=None,  # the authors have two stages, and no detector's weights
    build=build,
    unused=(".conv_reduction.", ".conv_upsample.", ".conv_cat."),  # layers of theirs that no output depends on
)

VARIANTS = (
    _FPT,
    _FPT.derive("fpt_retinanet_r101", "FPT in RetinaNet: ResNet-101", build={"backbone": R101}),
    _FPT.derive("fpt_local_retinanet_r50", "FPT in RetinaNet, with local grounding", build={"grounding": "local"}),
    _FPT.derive(
        "fpt_embedded_retinanet_r50", "FPT in RetinaNet, with embedded grounding", build={"grounding": "embedded"}
    ),
    _FPT.derive("fpt_test", "tiny FPT for tests", build={"backbone": TINY, "channels": 32, "stacked": 1}),
    _FPT.derive(
        "fpt_local_test",
        "tiny FPT with local grounding for tests",
        build={"backbone": TINY, "channels": 32, "stacked": 1, "grounding": "local"},
    ),
)
ALIASES = {"fpt": "fpt_retinanet_r50"}
