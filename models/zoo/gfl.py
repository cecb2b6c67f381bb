"""Generalized Focal Loss (arXiv 2006.04388), its version 2 (arXiv 2011.12885), and LD (arXiv 2102.12252)."""

from functools import partial

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..backbones.resnet import DCN_C3_C5, DCN_C4_C5, R18, R34, R50, R101, TINY, X101_32X4D, Backbone
from ..detector import DenseDetector
from ..heads.gfl import GFLHead
from ..labels import COCO, MARKERS
from ..necks.fpn import FPN
from ..variant import RGB, WEIGHTS, Published, Variant, openmmlab

_STRIDES = (8, 16, 32, 64, 128)


def build(
    classes: int,
    *,
    backbone: Backbone = R50,
    channels: int = 256,
    stacked: int = 4,
    strides: tuple[int, ...] = _STRIDES,
    quality_channels: int | None = None,
) -> nn.Module:
    """A GFL network; `quality_channels` makes it version 2."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(strides))
    head = GFLHead(classes, channels, stacked=stacked, strides=strides, quality_channels=quality_channels)
    return DenseDetector(trunk, neck, head)


_GFL = Variant(
    name="gfl_r50",
    paper="arXiv 2006.04388",
    summary="quality-aware class scores, box sides as distributions",
    build=build,
    form=Dense(_STRIDES),
    classes_key="bbox_head.gfl_cls.weight",
    labels=COCO,
    published=openmmlab("gfl", "gfl_r50_fpn_1x_coco", "_20200629_121244-25944287", 40.2),
    mapping={"conv2_offset.": "conv2.conv_offset."},  # deformable layers of mmdet 1.x
    unused=("bbox_head.integral.",),  # the numbers 0..reg_max
)
_GFL_V2 = _GFL.derive(
    "gflv2_r50",
    "GFL with a quality read off the shape of its box distributions",
    Published(None, 41.0),
    build={"quality_channels": 64},
    paper="arXiv 2011.12885",
    fusion=Fusion(1.0, 1.0, threshold_by="fused", rank_by="fused"),
)
_R101_DCN, _X101_DCN = partial(R101, deformable=DCN_C3_C5), partial(X101_32X4D, deformable=DCN_C4_C5)
_TINY = {"backbone": TINY, "channels": 32, "stacked": 1}


def _gfl(name: str, on: str, backbone: Backbone, file: str, suffix: str, ap: float) -> Variant:
    return _GFL.derive(name, f"GFL on {on}", openmmlab("gfl", file, suffix, ap), build={"backbone": backbone})


def _distilled(name: str, on: str, backbone: Backbone, file: str, suffix: str, ap: float) -> Variant:
    """A GFL that was distilled from a larger one."""
    published, build = openmmlab("ld", file, suffix, ap), {"backbone": backbone}
    return _GFL.derive(name, f"GFL on {on}, distilled (LD)", published, build=build, paper="arXiv 2102.12252")


def _v2(name: str, on: str, backbone: Backbone, ap: float) -> Variant:
    """A variant whose authors keep the weights on a web drive."""
    return _GFL_V2.derive(name, f"GFL v2 on {on}", Published(None, ap), build={"backbone": backbone})


VARIANTS = (
    _GFL,
    _gfl("gfl_r50_2x", "ResNet-50, 2x schedule", R50, "gfl_r50_fpn_mstrain_2x_coco", "_20200629_213802-37bb1edc", 42.9),
    _gfl("gfl_r101", "ResNet-101", R101, "gfl_r101_fpn_mstrain_2x_coco", "_20200629_200126-dd12f847", 44.7),
    _gfl(
        "gfl_r101_dcn",
        "ResNet-101 with deformable stages C3 to C5",
        _R101_DCN,
        "gfl_r101_fpn_dconv_c3-c5_mstrain_2x_coco",
        "_20200630_102002-134b07df",
        47.1,
    ),
    _gfl(
        "gfl_x101_32x4d",
        "ResNeXt-101",
        X101_32X4D,
        "gfl_x101_32x4d_fpn_mstrain_2x_coco",
        "_20200630_102002-50c1ffdb",
        45.9,
    ),
    _gfl(
        "gfl_x101_32x4d_dcn",
        "ResNeXt-101 with deformable stages C4 and C5",
        _X101_DCN,
        "gfl_x101_32x4d_fpn_dconv_c4-c5_mstrain_2x_coco",
        "_20200630_102002-14a2bf25",
        48.1,
    ),
    _distilled("gfl_r18", "ResNet-18", R18, "ld_r18_gflv1_r101_fpn_coco_1x", "_20220702_062206-330e6332", 36.5),
    _distilled("ld_r34", "ResNet-34", R34, "ld_r34_gflv1_r101_fpn_coco_1x", "_20220630_134007-9bc69413", 39.9),
    _distilled("ld_r50", "ResNet-50", R50, "ld_r50_gflv1_r101_fpn_coco_1x", "_20220629_145355-8dc5bad8", 41.0),
    _distilled("ld_r101", "ResNet-101", R101, "ld_r101_gflv1_r101dcn_fpn_coco_2x", "_20220629_185920-9e658426", 45.5),
    _GFL_V2,
    _v2("gflv2_r50_2x", "ResNet-50, 2x schedule", R50, 43.9),
    _v2("gflv2_r101", "ResNet-101", R101, 45.8),
    _v2("gflv2_r101_dcn", "ResNet-101 with deformable stages C3 to C5", _R101_DCN, 48.0),
    _v2("gflv2_x101_32x4d_dcn", "ResNeXt-101 with deformable stages C4 and C5", _X101_DCN, 48.8),
    _GFL.derive(
        "gfl_markers",
        "small GFL that finds printed codes and markers; bundled",
        build={"backbone": partial(R18, width=16), "channels": 48, "stacked": 2, "strides": _STRIDES[:4]},
        input=RGB.placed(size=(448, 448)),
        form=Dense(_STRIDES[:4]),
        suppress=Suppress(conf=0.45),  # where precision and recall on generated scenes are nearly equal
        labels=MARKERS,
        bundled=WEIGHTS / "gfl_markers.safetensors",
    ),
    _GFL.derive("gfl_test", "tiny GFL for tests", build=_TINY),
    _GFL_V2.derive("gflv2_test", "tiny GFL v2 for tests", build=_TINY | {"quality_channels": 16}),
)
ALIASES = {"gfl": "gfl_r50", "gflv2": "gflv2_r50", "ld": "gfl_r18", "ld_r18": "gfl_r18"}
