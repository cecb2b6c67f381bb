"""TAT, a light text detector with an attention tower (arXiv 2002.03741).

There is no code of its authors. The distances, the angle and their suppression are EAST's; a gate of each pixel after
every merge of levels is our reading of the attention tower.
"""

import math
from functools import partial

from ..backbones.mobilenetv2 import MobileNetV2
from .east import EAST

_TAT = EAST.derive(
    "tat_mobilenetv2",
    "EAST's rotated boxes with an attention tower (TAT): MobileNetV2",
    build={
        "backbone": partial(MobileNetV2, (2, 3, 5, 7)),
        "sides": "top right bottom left",
        "turn": math.pi / 2,
        "gated": True,
    },
    paper="arXiv 2002.03741",
    mapping={},
)

VARIANTS = (
    _TAT,
    _TAT.derive(
        "tat_test",
        "tiny TAT for tests",
        build={"backbone": partial(MobileNetV2, (2, 3, 5, 7), wide=0.25), "channels": (16, 16, 16)},
    ),
)
ALIASES = {"tat": "tat_mobilenetv2"}
