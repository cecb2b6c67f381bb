"""RegNetX (arXiv 2003.13678) in RetinaNet."""

from functools import partial

from ..backbones.regnet import TINY_REGNET, X_1_6GF, X_3_2GF, X_800MF
from ..variant import BGR, openmmlab
from .retinanet import RETINANET

_published = partial(openmmlab, "regnet")

VARIANTS = tuple(
    RETINANET.derive(
        name, summary, published, build={"backbone": backbone, **others}, paper="arXiv 2003.13678", input=BGR
    )
    for name, summary, published, backbone, others in (
        (
            "retinanet_regnetx_800mf",
            "RetinaNet on RegNetX of 0.8 billion operations",
            _published("retinanet_regnetx-800MF_fpn_1x_coco", "_20200517_191403-f6f91d10", 35.6),
            X_800MF,
            {},
        ),
        (
            "retinanet_regnetx_1.6gf",
            "RetinaNet on RegNetX of 1.6 billion operations",
            _published("retinanet_regnetx-1.6GF_fpn_1x_coco", "_20200517_191403-37009a9d", 37.3),
            X_1_6GF,
            {},
        ),
        (
            "retinanet_regnetx_3.2gf",
            "RetinaNet on RegNetX of 3.2 billion operations",
            _published("retinanet_regnetx-3.2GF_fpn_1x_coco", "_20200520_163141-cb1509e8", 39.1),
            X_3_2GF,
            {},
        ),
        ("regnet_test", "tiny RegNet in RetinaNet for tests", None, TINY_REGNET, {"channels": 32, "stacked": 1}),
    )
)
ALIASES: dict[str, str] = {}
