"""Side-aware boundary localization (SABL, arXiv 1912.04260) in RetinaNet."""

from functools import partial

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..backbones.resnet import R50, R101, TINY, Backbone
from ..detector import DenseDetector
from ..heads.sabl import SABLHead
from ..labels import COCO
from ..necks.fpn import FPN
from ..variant import Variant, openmmlab

_SQUARES = Anchors(ratios=(1.0,), scales=(4.0,))


def build(
    classes: int, *, backbone: Backbone = R50, channels: int = 256, stacked: int = 4, norm: str | None = None
) -> nn.Module:
    """A RetinaNet that localizes by sides; `norm` is that of the head's branches."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(_SQUARES.strides), extra="input")
    return DenseDetector(trunk, neck, SABLHead(classes, channels, anchors=_SQUARES, stacked=stacked, norm=norm))


_published = partial(openmmlab, "sabl")
_SABL = Variant(
    name="sabl_retinanet_r50",
    paper="arXiv 1912.04260",
    summary="RetinaNet whose boxes are found side by side",
    build=build,
    form=Dense(_SQUARES.strides, clip="last_pixel"),
    classes_key="bbox_head.retina_cls.weight",
    fusion=Fusion(1.0, 1.0),
    suppress=Suppress(iou=0.5),
    labels=COCO,
    published=_published("sabl_retinanet_r50_fpn_1x_coco", "-6c54fd4f", 37.7),
)


def _derived(name: str, summary: str, file: str, digest: str, ap: float, **build: object) -> Variant:
    published = _published(f"sabl_retinanet_{file}_coco", digest, ap)
    return _SABL.derive(f"sabl_retinanet_{name}", f"RetinaNet with SABL: {summary}", published, build=build)


VARIANTS = (
    _SABL,
    _derived("r50_gn", "ResNet-50, group norm", "r50_fpn_gn_1x", "-e16dfcf1", 38.8, norm="gn"),
    _derived("r101", "ResNet-101", "r101_fpn_1x", "-42026904", 39.7, backbone=R101),
    _derived("r101_gn", "ResNet-101, group norm", "r101_fpn_gn_1x", "-40a893e8", 40.5, backbone=R101, norm="gn"),
    _derived(
        "r101_gn_2x_640_800",
        "ResNet-101, group norm, trained longer at 640 to 800 px",
        "r101_fpn_gn_2x_ms_640_800",
        "-1e63382c",
        42.9,
        backbone=R101,
        norm="gn",
    ),
    _derived(
        "r101_gn_2x_480_960",
        "ResNet-101, group norm, trained longer at 480 to 960 px",
        "r101_fpn_gn_2x_ms_480_960",
        "-5342f857",
        43.6,
        backbone=R101,
        norm="gn",
    ),
    _SABL.derive(
        "sabl_test", "tiny SABL for tests", build={"backbone": TINY, "channels": 32, "stacked": 1, "norm": "gn"}
    ),
)
ALIASES = {"sabl_retinanet": "sabl_retinanet_r50"}
