"""AutoAssign (arXiv 2007.03496)."""

from typing import Literal

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..backbones.resnet import R50_CAFFE, TINY, Backbone
from ..detector import DenseDetector
from ..heads.autoassign import AutoAssignHead
from ..labels import COCO
from ..layouts import CVPODS
from ..necks.fpn import FPN
from ..variant import CAFFE_1, CAFFE_2, Published, Variant, openmmlab

_STRIDES = (8, 16, 32, 64, 128)


def build(
    classes: int,
    *,
    backbone: Backbone = R50_CAFFE,
    channels: int = 256,
    stacked: int = 4,
    extra: Literal["input", "output"] = "input",
) -> nn.Module:
    """An AutoAssign. P6 is computed from C5 ("input") in OpenMMLab's version, from P5 ("output") in the authors'."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(_STRIDES), extra=extra, relu=True)
    return DenseDetector(trunk, neck, AutoAssignHead(classes, channels, stacked=stacked, strides=_STRIDES))


_AUTOASSIGN = Variant(
    name="autoassign_r50",
    paper="arXiv 2007.03496",
    summary="learns which points stand for an object, and an implicit objectness",
    build=build,
    form=Dense(_STRIDES),
    classes_key="bbox_head.conv_cls.weight",
    input=CAFFE_1,
    fusion=Fusion(1.0, 1.0),
    suppress=Suppress(conf=0.4),  # of the class score; what is reported is its product with the objectness
    labels=COCO,
    published=openmmlab("autoassign", "auto_assign_r50_fpn_1x_coco", "_20210413_115540-5e17991f", 40.4),
    unused=("bbox_head.center_prior.",),
)

VARIANTS = (
    _AUTOASSIGN,
    _AUTOASSIGN.derive(
        "autoassign_official_r50",
        "AutoAssign by its authors",
        Published(None, 40.5),
        build={"extra": "output"},
        input=CAFFE_2,
        fusion=Fusion(1.0, 1.0, threshold_by="fused", rank_by="fused"),
        suppress=Suppress(),
        mapping=CVPODS | {"^head.obj_score.": "bbox_head.conv_centerness."},
        unused=("^mu", "^sigma"),
    ),
    _AUTOASSIGN.derive(
        "autoassign_test",
        "tiny AutoAssign for tests",
        build={"backbone": TINY, "channels": 32, "stacked": 1},
    ),
)
ALIASES = {"autoassign": "autoassign_r50"}
