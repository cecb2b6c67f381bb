"""SSD (arXiv 1512.02325) and SSDLite (arXiv 1801.04381, section 6.2)."""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import SizedAnchors, prior_boxes
from ..backbones.mobilenetv2 import MMDET, MobileNetV2
from ..backbones.vgg import VGG
from ..blocks import Norm, renorm
from ..detector import DenseDetector
from ..heads.ssd import SSDHead
from ..labels import COCO
from ..necks.ssd import SSDNeck
from ..variant import RGB, Variant, openmmlab, stretched

_LITE_EPS = 1e-3
_VALUES = replace(RGB, std=(1.0, 1.0, 1.0))

_FEW, _MANY = (2,), (2, 3)
_300 = prior_boxes((8, 16, 32, 64, 100, 300), (21, 45, 99, 153, 207, 261, 315), (_FEW, _MANY, _MANY, _MANY, _FEW, _FEW))
ANCHORS_512 = prior_boxes(
    (8, 16, 32, 64, 128, 256, 512),
    (20, 51, 133, 215, 296, 378, 460, 542),
    (_FEW, _MANY, _MANY, _MANY, _MANY, _FEW, _FEW),
)
_LITE = prior_boxes((16, 32, 64, 107, 160, 320), (48, 100, 150, 202, 253, 304, 320), (_MANY,) * 6)
# Kernel, stride and padding from one level to the next.
_HALF, _WITHOUT = (3, 2, 1), (3, 1, 0)
_STEPS = {
    _300: (_HALF, _HALF, _WITHOUT, _WITHOUT),
    ANCHORS_512: (_HALF, _HALF, _HALF, _HALF, (4, 1, 1)),
    _LITE: (_HALF,) * 4,
}


def build(classes: int, *, anchors: SizedAnchors = _300, narrow: int = 1) -> nn.Module:
    """An SSD on VGG-16; all layers have 1 / `narrow` of the channels."""
    trunk = VGG(narrow=narrow)
    return on(trunk, classes, trunk.channels, anchors=anchors, levels=(0, 1), narrow=narrow)


def on(
    trunk: nn.Module,
    classes: int,
    in_channels: Sequence[int],
    *,
    anchors: SizedAnchors,
    levels: tuple[int, int],
    narrow: int = 1,
) -> nn.Module:
    """An SSD on two `levels` of any backbone, which have `in_channels`."""
    steps = _STEPS[anchors]
    neck = SSDNeck(in_channels, [c // narrow for c in (512, *(256,) * (len(steps) - 1))], steps)
    return DenseDetector(trunk, neck, SSDHead(classes, neck.channels, anchors=anchors), levels)


def build_lite(classes: int, *, wide: float = 1.0) -> nn.Module:
    """An SSDLite on MobileNetV2."""
    trunk = MobileNetV2((5, 8), norm_eps=_LITE_EPS, wide=wide)
    neck = SSDNeck(trunk.channels, (512, 256, 256, 128), _STEPS[_LITE], lite=True)
    head = SSDHead(classes, neck.channels, anchors=_LITE, lite=True)
    return DenseDetector(trunk, renorm(neck, Norm("bn", _LITE_EPS)), renorm(head, Norm("bn", _LITE_EPS)), levels=(0, 1))


SSD300 = Variant(
    name="ssd300",
    paper="arXiv 1512.02325",
    summary="anchors on six levels of VGG-16, images of 300 px",
    build=build,
    form=Dense(_300.strides, anchors=_300.per_cell),
    classes_key="bbox_head.cls_convs.1.0.weight",
    input=stretched(_VALUES, 300, 300, multiple=1),
    suppress=Suppress(iou=0.45, max_det=200),
    labels=COCO,
    published=openmmlab("ssd", "ssd300_coco", "_20210803_015428-d231a06e", 25.5),
    beside_classes=1,
)
_SSDLITE = replace(
    SSD300,
    name="ssdlite_mobilenetv2",
    paper="arXiv 1801.04381",
    summary="SSD with separable convolutions on MobileNetV2, images of 320 px",
    build=build_lite,
    form=replace(SSD300.form, strides=_LITE.strides),
    classes_key="bbox_head.cls_convs.1.1.weight",
    input=stretched(RGB, 320, 320, multiple=1),
    published=openmmlab("ssd", "ssdlite_mobilenetv2_scratch_600e_coco", "_20210629_110627-974d9307", 21.3),
    mapping=MMDET,
)

VARIANTS = (
    SSD300,
    SSD300.derive(
        "ssd512",
        "SSD on VGG-16, images of 512 px",
        openmmlab("ssd", "ssd512_coco", "_20210803_022849-0a47a1ca", 29.5),
        build={"anchors": ANCHORS_512},
        form=replace(SSD300.form, strides=ANCHORS_512.strides),
        input=stretched(_VALUES, 512, 512, multiple=1),
    ),
    _SSDLITE,
    SSD300.derive("ssd_test", "tiny SSD for tests", build={"narrow": 16}),
    _SSDLITE.derive("ssdlite_test", "tiny SSDLite for tests", build={"wide": 0.25}),
)
ALIASES = {"ssd": "ssd512", "ssdlite": "ssdlite_mobilenetv2"}
