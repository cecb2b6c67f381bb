"""FCOS (arXiv 1904.01355): OpenMMLab's checkpoints, and the authors' own, whose scores are square roots.

The authors give theirs for academic use.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..backbones.resnet import (
    DCN_V2_C3_C5,
    DCN_V2_C4_C5,
    R50_CAFFE,
    R101_CAFFE,
    TINY,
    TINY_BOTTLENECKS,
    X101_64X4D,
    Backbone,
)
from ..detector import DenseDetector
from ..heads.fcos import FCOSHead
from ..labels import COCO
from ..layouts import BENCHMARK_UNUSED, benchmark
from ..necks.fpn import FPN
from ..variant import CAFFE_1, CAFFE_2, RGB, Published, Variant, openmmlab, spelled

_STRIDES = (8, 16, 32, 64, 128)


def build(classes: int, *, backbone: Backbone = R50_CAFFE, channels: int = 256, **head: Any) -> nn.Module:
    """An FCOS. Other arguments go to its head."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(_STRIDES), relu=True)
    return DenseDetector(trunk, neck, FCOSHead(classes, channels, strides=_STRIDES, **head))


# The threshold acts on the class score alone and what is reported is its product with the centerness, so that from a
# class score of 0.4 products of about 0.25 come.
FCOS = Variant(
    name="fcos_r50",
    paper="arXiv 1904.01355",
    summary="a box per point, no anchors; centerness",
    build=build,
    form=Dense(_STRIDES),
    classes_key="bbox_head.conv_cls.weight",
    input=CAFFE_1,
    fusion=Fusion(1.0, 1.0),
    suppress=Suppress(conf=0.4, iou=0.5),
    labels=COCO,
    published=openmmlab("fcos", "fcos_r50_caffe_fpn_gn-head_1x_coco", "-821213aa", 36.6),
    mapping={"bbox_head.fcos_": "bbox_head.conv_", ".conv2_offset.": ".conv2.conv_offset."},  # before mmdet 2.1
)
_IMPROVED = FCOS.derive(
    "fcos_r50_center_normbbox",
    "FCOS with central samples, box sides in strides, centerness beside the box",
    openmmlab("fcos", "fcos_center-normbbox-centeronreg-giou_r50_caffe_fpn_gn-head_1x_coco", "-0a0d75a8", 38.7),
    build={"improved": True, "bias": True},
    input=CAFFE_2,
    suppress=Suppress(conf=0.4, iou=0.6),
)

_X101 = {"32x8d": (32, 8), "64x4d": (64, 4)}
_OFFICIAL = (
    ("R_50_FPN_1x", 37.1),
    ("R_101_FPN_2x", 41.4),
    ("X_101_32x8d_FPN_2x", 42.5),
    ("X_101_64x4d_FPN_2x", 43.0),
    ("imprv_R_50_FPN_1x", 38.7),
    ("imprv_dcnv2_R_50_FPN_1x", 42.3),
    ("imprv_R_101_FPN_2x", 43.0),
    ("imprv_dcnv2_R_101_FPN_2x", 45.6),
    ("imprv_X_101_32x8d_FPN_2x", 44.0),
    ("imprv_dcnv2_X_101_32x8d_FPN_2x", 46.4),
    ("imprv_X_101_64x4d_FPN_2x", 44.7),
    ("imprv_dcnv2_X_101_64x4d_FPN_2x", 46.6),
)
"""The names of the authors' checkpoints, and their AP."""


def _official(file: str, ap: float) -> Variant:
    """A variant of the authors: ranked by the final score sqrt(class score * centerness), with inclusive boxes."""
    improved, deformable, wide = "imprv" in file, "dcnv2" in file, "X_101" in file
    backbone: Backbone = R50_CAFFE if "R_50" in file else R101_CAFFE
    if wide:
        backbone = partial(R101_CAFFE, style="pytorch", groups=_X101[file.split("_101_")[1][:5]])
    if deformable:
        backbone = partial(backbone, deformable=DCN_V2_C4_C5 if wide else DCN_V2_C3_C5)
    name = file.lower().replace("r_", "r").replace("x_", "x").replace("_fpn", "")
    return FCOS.derive(
        f"fcos_official_{name}",
        f"FCOS by its authors: {spelled(name)}",
        Published(f"https://huggingface.co/tianzhi/FCOS/resolve/main/FCOS_{file}.pth", ap),
        build={
            "backbone": partial(backbone, norm_eps=0.0),
            "improved": improved,
            "bias": True,
            "deformable": deformable,
        },
        form=replace(FCOS.form, clip="last_pixel"),
        fusion=Fusion(0.5, 0.5, rank_by="fused"),
        suppress=Suppress(conf=0.4, iou=0.6, inclusive=True),
        mapping=benchmark(
            {"cls_logits": "conv_cls", "bbox_pred": "conv_reg", "centerness": "conv_centerness"}, layers=4, step=3
        ),
        unused=BENCHMARK_UNUSED,
    )


def _plain(name: str, backbone: Backbone, file: str, suffix: str, ap: float, **changes: Any) -> Variant:
    published, summary = openmmlab("fcos", file, suffix, ap), f"FCOS: {spelled(name)}"
    return FCOS.derive(f"fcos_{name}", summary, published, build={"backbone": backbone}, **changes)


_2X = "caffe_fpn_gn-head_mstrain_640-800_2x_coco"
_X101_2X = "fcos_x101_64x4d_fpn_gn-head_mstrain_640-800_2x_coco"
VARIANTS = (
    FCOS,
    _plain("r101", R101_CAFFE, "fcos_r101_caffe_fpn_gn-head_1x_coco", "-0e37b982", 39.1),
    _plain("r50_2x", R50_CAFFE, f"fcos_r50_{_2X}", "-d92ceeea", 38.5),
    _plain("r101_2x", R101_CAFFE, f"fcos_r101_{_2X}", "-511424d6", 40.8),
    _plain("x101_64x4d_2x", X101_64X4D, _X101_2X, "-ede514a8", 42.6, input=RGB),
    _IMPROVED,
    _IMPROVED.derive(
        "fcos_r50_dcn",
        "improved FCOS, modulated deformable C3 to C5 and tower ends",
        openmmlab("fcos", "fcos_center-normbbox-centeronreg-giou_r50_caffe_fpn_gn-head_dcn_1x_coco", "-ae4d8b3d", 42.3),
        build={"backbone": partial(R50_CAFFE, deformable=DCN_V2_C3_C5), "deformable": True},
    ),
    *(_official(*row) for row in _OFFICIAL),
    FCOS.derive("fcos_test", "tiny FCOS for tests", build={"backbone": TINY, "channels": 32, "stacked": 1}),
    _IMPROVED.derive(
        "fcos_dcn_test",
        "tiny improved deformable FCOS for tests",
        build={
            "backbone": partial(TINY_BOTTLENECKS, deformable=DCN_V2_C3_C5),
            "channels": 32,
            "stacked": 1,
            "deformable": True,
        },
    ),
)
ALIASES = {"fcos": "fcos_r50"}
