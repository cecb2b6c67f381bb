"""ExtremeNet ("Bottom-up Object Detection by Grouping Extreme and Center Points", arXiv 1901.08043)."""

from dataclasses import replace
from functools import partial

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Extremes
from ..backbones import hourglass
from ..heads.extreme import ExtremeHead
from ..labels import COCO
from ..variant import KEEP_BGR, Published, Variant
from . import cornernet

build = partial(cornernet.build, head=ExtremeHead)
"""An ExtremeNet with only the heads of the last stack, since the others are for training."""

_HEADS = (*(f"{at}_heats" for at in ("t", "l", "b", "r", "ct")), *(f"{at}_regrs" for at in ("t", "l", "b", "r")))

_EXTREMENET = Variant(
    name="extremenet_hg104",
    paper="arXiv 1901.08043",
    summary="objects as four extreme points and a centre; Hourglass-104",
    build=build,
    form=Extremes(flip=True),
    classes_key="bbox_head.t_heats.1.conv.weight",
    input=KEEP_BGR,
    suppress=Suppress("gaussian", iou=0.5, inclusive=True, ghosts=True),
    labels=COCO,
    published=Published(None, 40.3),  # theirs lies where nothing can be fetched from; AP on val2017
    mapping={
        **hourglass.AUTHORS,
        **{f"^{name}.1.1.": f"bbox_head.{name}.1.conv." for name in _HEADS},
        **{f"^{name}.1.": f"bbox_head.{name}." for name in _HEADS},
    },
    unused=tuple(f"{name}.0." for name in _HEADS),
)

VARIANTS = (
    _EXTREMENET,
    replace(
        _EXTREMENET,
        name="extremenet_hg104_ms",
        summary="ExtremeNet at five scales",
        form=Extremes(flip=True, scales=(0.5, 0.75, 1.0, 1.25, 1.5)),
        published=Published(None, 43.3),
    ),
    replace(
        _EXTREMENET,
        name="extremenet_test",
        summary="tiny ExtremeNet for tests",
        build=partial(build, channels=(16, 16, 24), blocks=(1, 1, 1)),
        form=Extremes(),
        labels=COCO[:2],  # few points of a random network are of one class
        published=None,
        mapping={},
        unused=(),
    ),
)
ALIASES = {"extremenet": "extremenet_hg104"}
