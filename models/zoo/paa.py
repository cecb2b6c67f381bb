"""PAA (arXiv 2007.08103)."""

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..backbones.resnet import R50, R101, TINY, Backbone
from ..labels import COCO
from ..variant import Variant, openmmlab, spelled
from .atss import build

_STRIDES = Anchors().strides
_PAA = Variant(
    name="paa_r50",
    paper="arXiv 2007.08103",
    summary="ATSS' network with samples assigned by their probability; predicts the IoU",
    build=build,
    form=Dense(_STRIDES, unit="points"),
    classes_key="bbox_head.atss_cls.weight",
    # Section 3.3: the square root of class score times IoU ranks, and also suppresses.
    fusion=Fusion(0.5, 0.5, threshold_by="fused", rank_by="fused"),
    suppress=Suppress(conf=0.4, voting=True),
    labels=COCO,
    published=openmmlab("paa", "paa_r50_fpn_1x_coco", "_20200821-936edec3", 40.4),
)


def _paa(on: str, backbone: Backbone, file: str, suffix: str, ap: float) -> Variant:
    published = openmmlab("paa", f"paa_{file}_coco", suffix, ap)
    return _PAA.derive(f"paa_{on}", f"PAA: {spelled(on)}", published, build={"backbone": backbone})


VARIANTS = (
    _PAA,
    _paa("r50_1.5x", R50, "r50_fpn_1.5x", "_20200823-805d6078", 41.4),
    _paa("r50_2x", R50, "r50_fpn_2x", "_20200821-c98bfc4e", 41.6),
    _paa("r50_3x", R50, "r50_fpn_mstrain_3x", "_20210121_145722-06a6880b", 43.3),
    _paa("r101", R101, "r101_fpn_1x", "_20200821-0a1825a4", 42.6),
    _paa("r101_2x", R101, "r101_fpn_2x", "_20200821-6829f96b", 43.5),
    _paa("r101_3x", R101, "r101_fpn_mstrain_3x", "_20210122_084202-83250d22", 45.1),
    _PAA.derive("paa_test", "tiny PAA for tests", build={"backbone": TINY, "channels": 32, "stacked": 1}),
)
ALIASES = {"paa": "paa_r50"}
