"""AP-Loss (arXiv 1904.06373), which trains RetinaNet."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..backbones.resnet import R50_CAFFE, R101_CAFFE
from ..variant import CAFFE_1
from . import retinanet

_STDS = (0.1, 0.1, 0.2, 0.2)
_LAYOUT = {
    **{f"^{part}": f"backbone.{part}" for part in ("conv1.", "bn1.", "layer")},
    **{f"fpn.P{i + 3}_1.": f"neck.lateral_convs.{i}.conv." for i in range(3)},
    **{f"fpn.P{i + 3}_2.": f"neck.fpn_convs.{i}.conv." for i in range(5)},
    "fpn.P6.": "neck.fpn_convs.3.conv.",
    **{f"classificationModel.conv{i + 1}.": f"bbox_head.cls_convs.{i}.conv." for i in range(4)},
    **{f"regressionModel.conv{i + 1}.": f"bbox_head.reg_convs.{i}.conv." for i in range(4)},
    "classificationModel.output.": "bbox_head.retina_cls.",
    "regressionModel.output.": "bbox_head.retina_reg.",
}
_ANCHORS = Anchors(scales=(4, 4 * math.sqrt(2)), centre=0.5, inclusive=True)
_BUILD = {"relu": True, "anchors": _ANCHORS, "stds": _STDS}


def _build_r50(classes: int, **others: Any) -> nn.Module:
    """Its first convolution has a bias, as Detectron's ResNet-50 had."""
    network = retinanet.build(classes, backbone=R50_CAFFE, **others)
    stem = network.backbone.conv1
    network.backbone.conv1 = nn.Conv2d(3, stem.out_channels, stem.kernel_size, stem.stride, stem.padding)
    return network


_R101 = retinanet.RETINANET.derive(
    "ap_loss_r101",
    "RetinaNet trained on average precision itself (AP-Loss): ResNet-101",
    build={"backbone": R101_CAFFE, **_BUILD},
    paper="arXiv 1904.06373",
    input=CAFFE_1.placed(size=(500, 833)),
    form=Dense(_ANCHORS.strides, anchors=_ANCHORS.per_cell, clip="last_pixel"),
    # The authors keep everything on P7 and cut elsewhere at 0.01, for losses that rank leave low scores.
    # Overlaps do without the last pixel that boxes count in.
    suppress=Suppress(conf=0.1, iou=0.5),
    mapping=_LAYOUT,
)

VARIANTS = (
    _R101,
    replace(
        _R101,
        name="ap_loss_r50",
        summary="RetinaNet trained on average precision itself (AP-Loss): ResNet-50",
        build=partial(_build_r50, **_BUILD),
    ),
)
ALIASES = {
    "ap_loss": "ap_loss_r101",
    "aploss_retinanet_r50": "ap_loss_r50",
    "aploss_retinanet_r101": "ap_loss_r101",
}
