"""ATSS (arXiv 1912.02424): OpenMMLab's checkpoints, and the authors' own layout, which is for academic use."""

from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..backbones.resnet import DCN_V2_C3_C5, DCN_V2_C4_C5, R50, R50_CAFFE, R101, R101_CAFFE, TINY, Backbone
from ..detector import DenseDetector
from ..heads.atss import ATSSHead
from ..labels import COCO
from ..layouts import BENCHMARK_UNUSED, benchmark
from ..necks.fpn import FPN
from ..variant import CAFFE_1, Published, Variant, openmmlab, spelled

_ANCHORS = Anchors(ratios=(1.0,), scales=(8.0,))


def build(classes: int, *, backbone: Backbone = R50, channels: int = 256, relu: bool = False, **head: Any) -> nn.Module:
    """An ATSS network, with `relu` between P6 and P7. Other arguments go to the head."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(_ANCHORS.strides), relu=relu)
    return DenseDetector(trunk, neck, ATSSHead(classes, channels, **({"anchors": _ANCHORS} | head)))


_ATSS = Variant(
    name="atss_r50",
    paper="arXiv 1912.02424",
    summary="one anchor per cell, samples chosen by statistics; centerness",
    build=build,
    form=Dense(_ANCHORS.strides),
    classes_key="bbox_head.atss_cls.weight",
    # The threshold applies to class scores; the final score is their product with the centerness, as for FCOS.
    fusion=Fusion(1.0, 1.0),
    suppress=Suppress(conf=0.4, iou=0.6),
    labels=COCO,
    published=openmmlab("atss", "atss_r50_fpn_1x_coco", "_20200209-985f7bd0", 39.4),
)


def _official(name: str, backbone: Backbone, ap: float, **build: Any) -> Variant:
    """A variant of the authors: scores are square roots, boxes inclusive, anchors in the centre of cells."""
    anchors = Anchors(ratios=(1.0,), scales=(8.0,), centre=0.5)
    layout = {"cls_logits": "atss_cls", "bbox_pred": "atss_reg", "centerness": "atss_centerness"}
    head = {"anchors": anchors, "inclusive": True, "bias": True, "relu": True}
    return _ATSS.derive(
        f"atss_official_{name}",
        f"ATSS by its authors: {spelled(name)}",
        Published(None, ap),
        build={"backbone": partial(backbone, norm_eps=0.0), **head, **build},
        input=CAFFE_1,
        form=replace(_ATSS.form, clip="last_pixel"),
        fusion=Fusion(0.5, 0.5, rank_by="fused"),
        suppress=Suppress(conf=0.4, iou=0.6, inclusive=True),
        mapping=benchmark(layout, layers=4, step=3),
        unused=BENCHMARK_UNUSED,
    )


def _deformable(name: str, backbone: Backbone, ap: float, stages: tuple[Any, ...] = DCN_V2_C3_C5) -> Variant:
    return _official(name, partial(backbone, deformable=stages), ap, deformable=True)


_X101_32X8D, _X101_64X4D = partial(R101, groups=(32, 8)), partial(R101, groups=(64, 4))
VARIANTS = (
    _ATSS,
    _ATSS.derive(
        "atss_r101",
        "ATSS: ResNet-101",
        Published(
            "https://download.openmmlab.com/mmdetection/v2.0/atss/atss_r101_fpn_1x_coco/"
            "atss_r101_fpn_1x_20200825-dfcadd6f.pth",
            41.5,
        ),
        build={"backbone": R101},
    ),
    _official("r50_1x", R50_CAFFE, 39.3),
    _official("r101_2x", R101_CAFFE, 43.5),
    _official("x101_32x8d_2x", _X101_32X8D, 44.8),
    _official("x101_64x4d_2x", _X101_64X4D, 45.5),
    _deformable("dcnv2_r50_1x", R50_CAFFE, 43.2),
    _deformable("dcnv2_r101_2x", R101_CAFFE, 46.1),
    _deformable("dcnv2_x101_32x8d_2x", _X101_32X8D, 47.7, DCN_V2_C4_C5),
    _deformable("dcnv2_x101_64x4d_2x", _X101_64X4D, 47.7, DCN_V2_C4_C5),
    _ATSS.derive("atss_test", "tiny ATSS for tests", build={"backbone": TINY, "channels": 32, "stacked": 1}),
)
ALIASES = {"atss": "atss_r50"}
