"""ConvNeXt (arXiv 2201.03545) in RetinaNet."""

from ..backbones.convnext import CONVNEXT_S, CONVNEXT_T, TINY_CONVNEXT
from .retinanet import RETINANET

_PAPER = "arXiv 2201.03545"

VARIANTS = (
    RETINANET.derive("retinanet_convnext_t", "RetinaNet on ConvNeXt-T", build={"backbone": CONVNEXT_T}, paper=_PAPER),
    RETINANET.derive("retinanet_convnext_s", "RetinaNet on ConvNeXt-S", build={"backbone": CONVNEXT_S}, paper=_PAPER),
    RETINANET.derive(
        "convnext_test",
        "tiny ConvNeXt in RetinaNet for tests",
        build={"backbone": TINY_CONVNEXT, "channels": 32, "stacked": 1},
        paper=_PAPER,
    ),
)
ALIASES: dict[str, str] = {}
