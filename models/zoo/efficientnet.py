"""EfficientNet (arXiv 1905.11946) in RetinaNet."""

from ..backbones.efficientnet import B3, TINY_EFFICIENTNET
from ..variant import RGB, openmmlab
from .retinanet import RETINANET

_B3 = RETINANET.derive(
    "retinanet_effb3",
    "RetinaNet on EfficientNet-B3, with batch norms all over",
    openmmlab("efficientnet", "retinanet_effb3_fpn_crop896_8x4_1x_coco", "_20220322_234806-615a0dda", 40.5),
    build={"backbone": B3, "norms": True, "relu": True},
    paper="arXiv 1905.11946",
    input=RGB.placed(size=(896, 896)),
)

VARIANTS = (
    _B3,
    _B3.derive(
        "effnet_test",
        "tiny EfficientNet in RetinaNet for tests",
        build={"backbone": TINY_EFFICIENTNET, "channels": 32, "stacked": 1},
    ),
)
ALIASES: dict[str, str] = {}
