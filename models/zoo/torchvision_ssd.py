"""SSD (arXiv 1512.02325) and SSDLite on MobileNetV3 (arXiv 1905.02244) as torchvision.models.detection trains them.

Label 0 is the background, which is never found. Images are stretched to the one size that the networks have.
"""

from dataclasses import replace

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ...deploy.inputs.resize import Resize
from ..anchors import prior_boxes
from ..backbones.mobilenetv3 import MobileNetV3
from ..backbones.vgg import VGG
from ..blocks import Norm, renorm
from ..detector import DenseDetector
from ..heads.ssd import SSDHead
from ..labels import COCO_IDS
from ..necks.ssd import SSDNeck
from ..variant import RGB, Published, Variant

_FEW, _MANY = (2,), (2, 3)
_300 = prior_boxes(
    (8, 16, 32, 64, 100, 300), (21, 45, 99, 153, 207, 261, 315), (_FEW, _MANY, _MANY, _MANY, _FEW, _FEW), most=300
)
_LITE = prior_boxes(
    tuple(320 / cells for cells in (20, 10, 5, 3, 2, 1)), (64, 112, 160, 208, 256, 304, 320), (_MANY,) * 6, most=320
)
_HALF, _WITHOUT = (3, 2, 1), (3, 1, 0)
_EXTRA = (512, 256, 256, 256), (512, 256, 256, 128)


def build_ssd(classes: int) -> nn.Module:
    """torchvision's SSD300."""
    trunk = VGG()
    neck = SSDNeck(trunk.channels, _EXTRA[0], (_HALF, _HALF, _WITHOUT, _WITHOUT))
    return DenseDetector(trunk, neck, SSDHead(classes, neck.channels, anchors=_300, outside=False), (0, 1))


def build_lite(classes: int, *, reduced: bool = True, wide: float = 1.0) -> nn.Module:
    """torchvision's SSDLite320; `reduced` and `wide` are those of MobileNetV3."""
    trunk = MobileNetV3(reduced=reduced, wide=wide)
    neck = renorm(SSDNeck(trunk.channels, _EXTRA[1], (_HALF,) * 4, lite=True), Norm("bn", 1e-3))
    head = SSDHead(classes, neck.channels, anchors=_LITE, lite=True, outside=False)
    return DenseDetector(trunk, neck, renorm(head, Norm("bn", 1e-3)), (0, 1))


_BRANCHES = (("classification", "cls"), ("regression", "reg"))
_SSD_NAMES = {
    "^backbone.scale_weight": "neck.l2_norm.weight",
    **{f"^backbone.extra.0.{i}.": f"backbone.features.{23 + i}." for i in (1, 3, 5)},
    **{f"^backbone.extra.0.7.{i}.": f"backbone.features.{30 + i}." for i in (1, 3)},
    **{
        f"^backbone.extra.{i + 1}.{2 * j}.": f"neck.extra_layers.{i}.{j}.conv."
        for i in range(len(_EXTRA[0]))
        for j in range(2)
    },
    **{
        f"^head.{theirs}_head.module_list.{i}.": f"bbox_head.{ours}_convs.{i}.0."
        for theirs, ours in _BRANCHES
        for i in range(6)
    },
}
_PARTS = ("conv", "bn")
_LITE_NAMES = {
    ".fc1.": ".conv1.conv.",
    ".fc2.": ".conv2.conv.",
    **{
        f"^backbone.extra.{i}.{j}.{k}.": f"neck.extra_layers.{i}.{layer}.{part}."
        for i in range(len(_EXTRA[1]))
        for j, layer in enumerate(("0", "1.depthwise_conv", "1.pointwise_conv"))
        for k, part in enumerate(_PARTS)
    },
    **{
        f"^head.{theirs}_head.module_list.{i}.0.{k}.": f"bbox_head.{ours}_convs.{i}.0.{part}."
        for theirs, ours in _BRANCHES
        for i in range(6)
        for k, part in enumerate(_PARTS)
    },
    **{
        f"^head.{theirs}_head.module_list.{i}.1.": f"bbox_head.{ours}_convs.{i}.1."
        for theirs, ours in _BRANCHES
        for i in range(6)
    },
}

_SSD = Variant(
    name="ssd300_torchvision",
    paper="arXiv 1512.02325",
    summary="SSD of torchvision: VGG-16, images of 300 px",
    build=build_ssd,
    form=Dense((8, 16, 32, 64, 100, 300), anchors=_300.per_cell, top_k=400, unit="classes", levels_together=True),
    classes_key="bbox_head.cls_convs.1.0.weight",
    input=replace(
        RGB,
        place=Resize((300, 300), keep_aspect=False, filter="float"),
        mean=(122.99925, 116.9991, 103.9992),
        std=(1.0, 1.0, 1.0),
    ),
    suppress=Suppress(conf=0.01, iou=0.45, max_det=200),
    labels=COCO_IDS,
    published=Published("https://download.pytorch.org/models/ssd300_vgg16_coco-b556d3b4.pth", 25.1),
    mapping=_SSD_NAMES,
)
_SSDLITE = replace(
    _SSD,
    name="ssdlite320_torchvision",
    paper="arXiv 1905.02244",
    summary="SSDLite of torchvision: MobileNetV3, images of 320 px",
    build=build_lite,
    form=replace(_SSD.form, strides=(16, 32, 64, 107, 160, 320), top_k=300),
    classes_key="bbox_head.cls_convs.0.1.weight",
    input=replace(
        RGB, place=Resize((320, 320), keep_aspect=False, filter="float"), mean=(127.5,) * 3, std=(127.5,) * 3
    ),
    suppress=Suppress(conf=0.001, iou=0.55, max_det=300),
    published=Published("https://download.pytorch.org/models/ssdlite320_mobilenet_v3_large_coco-a79551df.pth", 21.3),
    mapping=_LITE_NAMES,
)

VARIANTS = (
    _SSD,
    _SSDLITE,
    _SSDLITE.derive(
        "ssdlite320_torchvision_wide",
        "SSDLite of torchvision: MobileNetV3 as trained on ImageNet, images of 320 px",
        build={"reduced": False},
    ),
    _SSDLITE.derive("ssdlite_torchvision_test", "tiny SSDLite of torchvision for tests", build={"wide": 0.25}),
)
ALIASES: dict[str, str] = {}
