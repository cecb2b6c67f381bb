"""RetinaNet (arXiv 1708.02002) and FCOS (arXiv 1904.01355) as torchvision.models.detection trains them.

Label 0 is the background, which has weights and is never found. A checkpoint has no settings besides its weights, so
images have torchvision's usual size.
"""

from dataclasses import replace
from typing import Any

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ...deploy.inputs.resize import Pad, Resize
from ..anchors import FittedAnchors
from ..backbones.resnet import R50, TINY, Backbone
from ..detector import DenseDetector
from ..heads.fitted_fcos import FittedFCOSHead
from ..heads.retina import RetinaHead
from ..labels import COCO_IDS
from ..necks.fpn import FPN
from ..variant import RGB, Published, Variant

_STRIDES = (8, 16, 32, 64, 128)
_ANCHORS = FittedAnchors(tuple(tuple(int(4 * stride * 2 ** (i / 3)) for i in range(3)) for stride in _STRIDES))
RESIZE = Resize((800, 1333), "edges", rounding="floor", filter="float", pad=Pad(multiple=32))


def trunk(backbone: Backbone, *, frozen: bool) -> Any:
    """A backbone whose variances are as they are if `frozen`, as where torchvision loads its weights of COCO."""
    return backbone(norm_eps=0.0 if frozen else 1e-5)


def build_retinanet(
    classes: int, *, backbone: Backbone = R50, channels: int = 256, stacked: int = 4, second: bool = False
) -> nn.Module:
    """torchvision's RetinaNet; the `second` version has P6 from the backbone and norms in the head."""
    body = trunk(backbone, frozen=not second and classes == len(COCO_IDS))
    neck = FPN(body.channels[1:], channels, len(_STRIDES), extra="input" if second else "output", relu=True)
    norm = "gn" if second else None
    return DenseDetector(body, neck, RetinaHead(classes, channels, stacked=stacked, anchors=_ANCHORS, norm=norm))


def build_fcos(classes: int, *, backbone: Backbone = R50, channels: int = 256, stacked: int = 4) -> nn.Module:
    """torchvision's FCOS."""
    body = trunk(backbone, frozen=False)
    neck = FPN(body.channels[1:], channels, len(_STRIDES), relu=True)
    return DenseDetector(body, neck, FittedFCOSHead(classes, channels, stacked=stacked))


def pyramid(levels: int) -> dict[str, str]:
    """The names of a backbone and of a feature pyramid of so many of its levels, and those before torchvision 0.13."""
    blocks = [
        (f"^backbone.fpn.{theirs}_blocks.{i}.", f"neck.{ours}_convs.{i}.conv.")
        for theirs, ours in (("inner", "lateral"), ("layer", "fpn"))
        for i in range(levels)
    ]
    names = {"^backbone.body.": "backbone."}
    return names | {f"{theirs}0.": ours for theirs, ours in blocks} | dict(blocks)


_TRUNK = pyramid(3) | {f"^backbone.fpn.extra_blocks.p{i + 3}.": f"neck.fpn_convs.{i}.conv." for i in (3, 4)}
_BRANCHES = (("head.classification_head.", "cls"), ("head.regression_head.", "reg"))


def _head(layers: dict[str, str], step: int, *, depth: int = 4) -> dict[str, str]:
    """The names of a head: towers with norms as blocks of two, and as lists of layers, `step` for each convolution."""
    names = dict(_TRUNK)
    for theirs, branch in _BRANCHES:
        tower = f"bbox_head.{branch}_convs"
        blocks = {f"{i}.{j}.": f"{i}.{part}." for i in range(depth) for j, part in enumerate(("conv", "gn"))}
        lists = {f"{step * i + j}.": f"{i}.{part}." for i in range(depth) for j, part in enumerate(("conv", "gn"))}
        if step == 2:  # a convolution and a ReLU
            lists = {key: value for key, value in lists.items() if value.endswith("conv.")}
        names |= {f"^{theirs}conv.{key}": f"{tower}.{value}" for key, value in {**blocks, **lists}.items()}
        names |= {f"^{theirs}{key}.": f"bbox_head.{value}." for key, value in layers.items()}
    return names


_RETINANET = Variant(
    name="retinanet_r50_torchvision",
    paper="arXiv 1708.02002",
    summary="RetinaNet of torchvision: ResNet-50",
    build=build_retinanet,
    form=Dense(_STRIDES, anchors=_ANCHORS.per_cell),
    classes_key="bbox_head.retina_cls.weight",
    input=replace(RGB, place=RESIZE),
    suppress=Suppress(conf=0.05, iou=0.5, max_det=300),
    labels=COCO_IDS,
    published=Published("https://download.pytorch.org/models/retinanet_resnet50_fpn_coco-eeacb38b.pth", 36.4),
    mapping=_head({"cls_logits": "retina_cls", "bbox_reg": "retina_reg"}, 2),
)
_FCOS = replace(
    _RETINANET,
    name="fcos_r50_torchvision",
    paper="arXiv 1904.01355",
    summary="FCOS of torchvision: ResNet-50",
    build=build_fcos,
    form=Dense(_STRIDES),
    classes_key="bbox_head.conv_cls.weight",
    fusion=Fusion(0.5, 0.5, threshold_by="fused", rank_by="fused"),
    suppress=Suppress(conf=0.2, iou=0.6),
    published=Published("https://download.pytorch.org/models/fcos_resnet50_fpn_coco-99b0c9b7.pth", 39.2),
    mapping=_head({"cls_logits": "conv_cls", "bbox_reg": "conv_reg", "bbox_ctrness": "conv_centerness"}, 3),
)
_TINY = {"backbone": TINY, "channels": 32, "stacked": 1}

VARIANTS = (
    _RETINANET,
    _RETINANET.derive(
        "retinanet_r50_torchvision_v2",
        "RetinaNet of torchvision, second version: ResNet-50",
        Published("https://download.pytorch.org/models/retinanet_resnet50_fpn_v2_coco-5905b1c5.pth", 41.5),
        build={"second": True},
    ),
    _FCOS,
    _RETINANET.derive("retinanet_torchvision_test", "tiny RetinaNet of torchvision for tests", build=_TINY),
    _FCOS.derive("fcos_torchvision_test", "tiny FCOS of torchvision for tests", build=_TINY),
)
ALIASES: dict[str, str] = {}
