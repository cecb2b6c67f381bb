"""Swin Transformers (arXiv 2103.14030) in RetinaNet."""

from ..backbones.swin import SWIN_S, SWIN_T, TINY_SWIN
from .retinanet import RETINANET

_PAPER = "arXiv 2103.14030"

VARIANTS = (
    RETINANET.derive("retinanet_swin_t", "RetinaNet on Swin-T", build={"backbone": SWIN_T}, paper=_PAPER),
    RETINANET.derive("retinanet_swin_s", "RetinaNet on Swin-S", build={"backbone": SWIN_S}, paper=_PAPER),
    RETINANET.derive(
        "swin_test",
        "tiny Swin in RetinaNet for tests",
        build={"backbone": TINY_SWIN, "channels": 32, "stacked": 1},
        paper=_PAPER,
    ),
)
ALIASES: dict[str, str] = {}
