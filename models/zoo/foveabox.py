"""FoveaBox (arXiv 1904.03797)."""

from typing import Any

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..backbones.resnet import R50, R101, TINY, Backbone
from ..detector import DenseDetector
from ..heads.foveabox import FoveaHead
from ..labels import COCO
from ..necks.fpn import FPN
from ..variant import Variant, openmmlab, spelled

_STRIDES = (8, 16, 32, 64, 128)


def build(classes: int, *, backbone: Backbone = R50, channels: int = 256, **head: Any) -> nn.Module:
    """A FoveaBox. Other arguments go to its head."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(_STRIDES), extra="input")
    return DenseDetector(trunk, neck, FoveaHead(classes, channels, strides=_STRIDES, **head))


_FOVEABOX = Variant(
    name="foveabox_r50",
    paper="arXiv 1904.03797",
    summary="a box per point, no anchors; learns from the middle of objects alone",
    build=build,
    form=Dense(_STRIDES, clip="last_pixel"),
    classes_key="bbox_head.conv_cls.weight",
    suppress=Suppress(iou=0.5),
    labels=COCO,
    published=openmmlab("foveabox", "fovea_r50_fpn_4x4_1x_coco", "_20200219-ee4d5303", 36.5),
)


def _foveabox(on: str, backbone: Backbone, file: str, suffix: str, ap: float, **build: Any) -> Variant:
    published = openmmlab("foveabox", file, suffix, ap)
    summary = f"FoveaBox{' with feature alignment' if build else ''}: {spelled(on.split('_align')[0])}"
    return _FOVEABOX.derive(f"foveabox_{on}", summary, published, build={"backbone": backbone, **build})


_ALIGNED = {"align": True, "norm": "gn"}
_ALIGN = "fpn_gn-head_4x4_2x_coco"
_ALIGN_SCALES = "fpn_gn-head_mstrain_640-800_4x4_2x_coco"
VARIANTS = (
    _FOVEABOX,
    _foveabox("r50_2x", R50, "fovea_r50_fpn_4x4_2x_coco", "_20200203-2df792b1", 37.2),
    _foveabox("r101", R101, "fovea_r101_fpn_4x4_1x_coco", "_20200219-05e38f1c", 38.6),
    _foveabox("r101_2x", R101, "fovea_r101_fpn_4x4_2x_coco", "_20200208-02320ea4", 40.0),
    _foveabox("r50_align_gn", R50, f"fovea_align_r50_{_ALIGN}", "_20200203-8987880d", 37.9, **_ALIGNED),
    _foveabox("r50_align_gn_ms", R50, f"fovea_align_r50_{_ALIGN_SCALES}", "_20200205-85ce26cb", 40.4, **_ALIGNED),
    _foveabox("r101_align_gn", R101, f"fovea_align_r101_{_ALIGN}", "_20200208-c39a027a", 40.0, **_ALIGNED),
    _foveabox("r101_align_gn_ms", R101, f"fovea_align_r101_{_ALIGN_SCALES}", "_20200208-649c5eb6", 42.0, **_ALIGNED),
    _FOVEABOX.derive(
        "foveabox_test", "tiny FoveaBox for tests", build={"backbone": TINY, "channels": 32, "stacked": 1}
    ),
    _FOVEABOX.derive(
        "foveabox_align_test",
        "tiny FoveaBox with feature alignment for tests",
        build={"backbone": TINY, "channels": 32, "stacked": 1, **_ALIGNED},
    ),
)
ALIASES = {"foveabox": "foveabox_r50"}
