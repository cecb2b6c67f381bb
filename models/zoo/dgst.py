"""DGST, text as soft scores of its lines and of their kernels (arXiv 2002.12509).

There is no code of its authors; the discriminator is for training only.
"""

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Grown
from ..backbones.resnet import R50, TINY, Backbone
from ..detector import HeatmapDetector
from ..heads.text import MapHead
from ..necks.merging import MergingNeck
from ..variant import RGB, Variant
from .east import TEXT


def build(classes: int, *, backbone: Backbone = R50, channels: tuple[int, ...] = (256, 128, 64)) -> nn.Module:
    """A generator of DGST."""
    trunk = backbone()
    return HeatmapDetector(trunk, MergingNeck(trunk.channels, channels), MapHead(channels[-1], ("map", "kernels")))


_DGST = Variant(
    name="dgst_r50",
    paper="arXiv 2002.12509",
    summary="text as soft scores of two sizes, kernels that grow over their lines (DGST): ResNet-50",
    build=build,
    form=Grown(),
    classes_key="bbox_head.convs.map.weight",
    input=RGB.placed(size=None, by="sides"),
    suppress=Suppress("polygons", conf=0.3, iou=0.5, max_det=1000),
    labels=TEXT,
    published=None,
)

VARIANTS = (
    _DGST,
    _DGST.derive("dgst_test", "tiny DGST for tests", build={"backbone": TINY, "channels": (16, 16, 16)}),
)
ALIASES = {"dgst": "dgst_r50"}
