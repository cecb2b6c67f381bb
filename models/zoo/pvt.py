"""Pyramid Vision Transformers (arXiv 2102.12122 and 2106.13797) in RetinaNet."""

from functools import partial

from ..backbones.pvt import PVT, TINY_PVT, TINY_PVT_V2
from ..variant import Variant, openmmlab
from .retinanet import RETINANET

_V2 = partial(PVT, second=True)
# Name, backbone, what ends the checkpoint's name, and AP.
_PUBLISHED = (
    ("pvt-t", partial(PVT, (2, 2, 2, 2)), "_20210831_103110-17b566bd", 36.6),
    ("pvt-s", partial(PVT, (3, 4, 6, 3)), "_20210906_142921-b6c94a5b", 40.4),
    ("pvt-m", partial(PVT, (3, 4, 18, 3)), "_20210831_103243-55effa1b", 41.7),
    ("pvtv2-b0", partial(_V2, (2, 2, 2, 2), width=32), "_20210831_103157-13e9aabe", 37.1),
    ("pvtv2-b1", partial(_V2, (2, 2, 2, 2)), "_20210831_103318-7e169a7d", 41.2),
    ("pvtv2-b2", partial(_V2, (3, 4, 6, 3)), "_20210901_174843-529f0b9a", 44.6),
    ("pvtv2-b3", partial(_V2, (3, 4, 18, 3)), "_20210903_151512-8357deff", 46.0),
    ("pvtv2-b4", partial(_V2, (3, 8, 27, 3)), "_20210901_170151-83795c86", 46.3),
    ("pvtv2-b5", partial(_V2, (3, 6, 40, 3), growth=(4, 4, 4, 4)), "_20210902_201800-3420eb57", 46.1),
)


def _paper(name: str) -> str:
    return "arXiv 2106.13797" if "v2" in name else "arXiv 2102.12122"


def _variant(name: str, backbone: partial[PVT], suffix: str, ap: float) -> Variant:
    published = openmmlab("pvt", f"retinanet_{name}_fpn_1x_coco", suffix, ap)
    ours, summary = f"retinanet_{name.replace('-', '_')}", f"RetinaNet on {name.upper()}"
    return RETINANET.derive(ours, summary, published, build={"backbone": backbone}, paper=_paper(name))


_TINY = {"channels": 32, "stacked": 1}
VARIANTS = (
    *(_variant(*row) for row in _PUBLISHED),
    RETINANET.derive("pvt_test", "tiny PVT in RetinaNet for tests", build={"backbone": TINY_PVT, **_TINY}),
    RETINANET.derive("pvtv2_test", "tiny PVTv2 in RetinaNet for tests", build={"backbone": TINY_PVT_V2, **_TINY}),
)
ALIASES: dict[str, str] = {}
