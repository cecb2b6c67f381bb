"""Stacked hourglasses ("Stacked Hourglass Networks for Human Pose Estimation", arXiv 1603.06937)."""

from functools import partial

from ..backbones.hourglass import UNUSED, HourglassNet
from ..pose import CROP, mmpose
from .simplebaseline import SIMPLEBASELINE

_FOLDER = "top_down/hourglass/hourglass52_coco"
_HOURGLASS = SIMPLEBASELINE.derive(
    "hourglass52",
    "one hourglass of residual blocks: Hourglass-52",
    mmpose(f"{_FOLDER}_256x256-4ec713ba_20200709", 72.6),
    build={"backbone": partial(HourglassNet, stacks=1), "widths": ()},
    paper="arXiv 1603.06937",
    input=CROP.placed(size=(256, 256)),
    mapping={**SIMPLEBASELINE.mapping, "^head.multi_final_layers.0.": "head.final_layer."},
    unused=UNUSED,
)

VARIANTS = (
    _HOURGLASS,
    _HOURGLASS.derive(
        "hourglass52_384",
        "Hourglass-52, crops of 384x384",
        mmpose(f"{_FOLDER}_384x384-be91ba2b_20200812", 74.6),
        build={},
        input=_HOURGLASS.input.placed(size=(384, 384)),
    ),
)
ALIASES = {"td_hourglass52": "hourglass52"}
