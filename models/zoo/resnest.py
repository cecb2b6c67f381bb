"""ResNeSt (arXiv 2004.08955) in SimpleBaseline and in RetinaNet."""

from ..backbones.resnest import S50, S101, S200, S269, TINY_RESNEST
from ..backbones.resnet import MMPOSE_STEM, Backbone
from ..variant import Variant
from .retinanet import RETINANET
from .simplebaseline import with_backbone

_PAPER = "arXiv 2004.08955"


def _pose(on: str, backbone: Backbone, file: str, ap: float) -> Variant:
    """A SimpleBaseline with mmpose's checkpoint. Its shortcuts average only where they shrink."""
    return with_backbone(
        on,
        f"ResNeSt-{on[1:].removesuffix('_384')}",
        lambda: backbone(least=2),
        f"top_down/resnest/resnest{file}",
        ap,
        paper=_PAPER,
        mapping=MMPOSE_STEM,
    )


VARIANTS = (
    _pose("s50", S50, "50_coco_256x192-6e65eece_20210320", 72.0),
    _pose("s50_384", S50, "50_coco_384x288-dcd20436_20210320", 73.7),
    _pose("s101", S101, "101_coco_256x192-2ffcdc9d_20210320", 72.5),
    _pose("s101_384", S101, "101_coco_384x288-80660658_20210320", 74.5),
    _pose("s200", S200, "200_coco_256x192-db007a48_20210517", 73.1),
    _pose("s200_384", S200, "200_coco_384x288-b5bb76cb_20210517", 75.3),
    _pose("s269", S269, "269_coco_256x192-2a7882ac_20210517", 73.7),
    _pose("s269_384", S269, "269_coco_384x288-b142b9fb_20210517", 75.4),
    RETINANET.derive("retinanet_s50", "RetinaNet on ResNeSt-50", build={"backbone": S50}, paper=_PAPER),
    RETINANET.derive("retinanet_s101", "RetinaNet on ResNeSt-101", build={"backbone": S101}, paper=_PAPER),
    RETINANET.derive(
        "resnest_test",
        "tiny ResNeSt in RetinaNet for tests",
        build={"backbone": TINY_RESNEST, "channels": 32, "stacked": 2},
        paper=_PAPER,
    ),
)
ALIASES = {"td_resnest50": "simplebaseline_s50"}
