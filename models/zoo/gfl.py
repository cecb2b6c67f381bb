"""Generalized Focal Loss (arXiv 2006.04388), its version 2 (arXiv 2011.12885), and LD (arXiv 2102.12252)."""

from dataclasses import replace
from functools import partial

from torch import nn

from ...deploy.card import DenseDecode, Fusion, Suppress
from ..backbones.resnet import Deformable, ResNet
from ..detector import DenseDetector
from ..heads.gfl import GFLHead
from ..labels import COCO, MARKERS
from ..necks.fpn import FPN
from ..variant import RGB, WEIGHTS, Published, Variant

_OPENMMLAB = "https://download.openmmlab.com/mmdetection/v2.0"
_DCN_C3_C5 = (None, "v1", "v1", "v1")
_STRIDES = (8, 16, 32, 64, 128)


def build(
    classes: int,
    *,
    depth: int,
    width: int = 64,
    deformable: tuple[Deformable, Deformable, Deformable, Deformable] = (None, None, None, None),
    channels: int = 256,
    stacked: int = 4,
    strides: tuple[int, ...] = _STRIDES,
    quality_channels: int | None = None,
) -> nn.Module:
    """A GFL network; `quality_channels` makes it version 2."""
    backbone = ResNet(depth, width=width, deformable=deformable)
    neck = FPN(backbone.channels[1:], channels, len(strides))
    head = GFLHead(classes, channels, stacked=stacked, strides=strides, quality_channels=quality_channels)
    return DenseDetector(backbone, neck, head)


_GFL = Variant(
    name="gfl_r50",
    paper="arXiv 2006.04388",
    summary="quality-aware class scores, box sides as distributions",
    build=partial(build, depth=50),
    decode=DenseDecode(_STRIDES),
    classes_key="bbox_head.gfl_cls.weight",
    labels=COCO,
    published=Published(f"{_OPENMMLAB}/gfl/gfl_r50_fpn_1x_coco/gfl_r50_fpn_1x_coco_20200629_121244-25944287.pth", 40.2),
    mapping={"conv2_offset.": "conv2.conv_offset."},  # deformable layers of mmdet 1.x
)
_GFL_V2 = replace(
    _GFL,
    name="gflv2_r50",
    paper="arXiv 2011.12885",
    summary="GFL with a quality read off the shape of its box distributions",
    build=partial(build, depth=50, quality_channels=64),
    fusion=Fusion(1.0, 1.0, threshold_by="fused", rank_by="fused"),
    published=None,
)
_tiny = partial(build, depth=18, width=8, channels=32, stacked=1)

VARIANTS = (
    _GFL,
    replace(
        _GFL,
        name="gfl_r18",
        paper="arXiv 2102.12252",
        summary="GFL on ResNet-18, distilled (LD)",
        build=partial(build, depth=18),
        published=Published(
            f"{_OPENMMLAB}/ld/ld_r18_gflv1_r101_fpn_coco_1x/ld_r18_gflv1_r101_fpn_coco_1x_20220702_062206-330e6332.pth",
            36.5,
        ),
    ),
    replace(
        _GFL,
        name="gfl_r101",
        summary="GFL on ResNet-101",
        build=partial(build, depth=101),
        published=Published(
            f"{_OPENMMLAB}/gfl/gfl_r101_fpn_mstrain_2x_coco/gfl_r101_fpn_mstrain_2x_coco_20200629_200126-dd12f847.pth",
            44.7,
        ),
    ),
    replace(
        _GFL,
        name="gfl_r101_dcn",
        summary="GFL on ResNet-101 with deformable stages C3 to C5",
        build=partial(build, depth=101, deformable=_DCN_C3_C5),
        published=Published(
            f"{_OPENMMLAB}/gfl/gfl_r101_fpn_dconv_c3-c5_mstrain_2x_coco/"
            "gfl_r101_fpn_dconv_c3-c5_mstrain_2x_coco_20200630_102002-134b07df.pth",
            47.1,
        ),
    ),
    _GFL_V2,
    replace(
        _GFL,
        name="gfl_markers",
        summary="small GFL that finds printed codes and markers; bundled",
        build=partial(build, depth=18, width=16, channels=48, stacked=2, strides=_STRIDES[:4]),
        input=replace(RGB, size=(448, 448)),
        decode=DenseDecode(_STRIDES[:4]),
        suppress=Suppress(conf=0.45),  # where precision and recall on generated scenes are nearly equal
        labels=MARKERS,
        published=None,
        bundled=WEIGHTS / "gfl_markers.safetensors",
    ),
    replace(_GFL, name="gfl_test", summary="tiny GFL for tests", build=_tiny, published=None),
    replace(
        _GFL_V2,
        name="gflv2_test",
        summary="tiny GFL v2 for tests",
        build=partial(_tiny, quality_channels=16),
    ),
)
ALIASES = {"gfl": "gfl_r50", "gflv2": "gflv2_r50", "ld_r18": "gfl_r18"}
