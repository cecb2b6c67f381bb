"""SpineNet (arXiv 1912.05027) with RetinaNet's head."""

from typing import Any

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..backbones.spinenet import NORM_EPS, SpineNet
from ..blocks import Norm, renorm
from ..detector import DenseDetector
from ..heads.retina import RetinaHead
from ..labels import COCO
from ..variant import RGB, Published, Variant, padded

_STRIDES = (8, 16, 32, 64, 128)


def build(classes: int, *, channels: int = 256, scale: float = 3.0, stacked: int = 4, **backbone: Any) -> nn.Module:
    """A SpineNet whose anchors are `scale` strides large and more; `backbone` holds its arguments."""
    scales = tuple(scale * 2 ** (i / 3) for i in range(3))
    anchors = Anchors(_STRIDES, scales=scales, centre=0.5, inclusive=True, rounded="corners")
    head = RetinaHead(classes, channels, anchors=anchors, stacked=stacked, level_norms=True)
    renorm(head, Norm("bn", NORM_EPS))
    return DenseDetector(SpineNet(channels, **backbone), nn.Identity(), head, levels=tuple(range(len(_STRIDES))))


def _square(side: int) -> dict[str, Any]:
    return {"input": padded(RGB.placed(size=(side, side)), multiple=128)}


# Ports alone have published weights, on a drive; AP as they state it.
_49 = Variant(
    name="spinenet49_retina",
    paper="arXiv 1912.05027",
    summary="a backbone whose levels are permuted and merged: SpineNet-49",
    build=build,
    form=Dense(_STRIDES, anchors=9, unit="points", clip="last_pixel"),
    classes_key="bbox_head.retina_cls.weight",
    suppress=Suppress(iou=0.5, inclusive=True),
    labels=COCO,
    published=Published(None, 42.7),
    **_square(640),
)

VARIANTS = (
    _49.derive("spinenet49s_retina", "SpineNet-49S", Published(None, 39.1), build={"channels": 128, "wide": 0.65}),
    _49,
    _49.derive("spinenet96_retina", "SpineNet-96", Published(None, 46.9), build={"repeats": 2}, **_square(1024)),
    _49.derive(
        "spinenet143_retina",
        "SpineNet-143",
        Published(None, 49.2),
        build={"repeats": 3, "squeezed": 1.0, "scale": 4.0},
        **_square(1280),
    ),
    _49.derive("spinenet_test", "tiny SpineNet for tests", build={"channels": 32, "wide": 0.25, "stacked": 1}),
)
ALIASES = {"spinenet": "spinenet49_retina"}
