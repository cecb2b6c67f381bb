"""YOLOv3 (arXiv 1804.02767)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import nn
from torch.nn import functional as F

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import SizedAnchors
from ..backbones.darknet import SLOPE, Darknet
from ..backbones.mobilenetv2 import MMDET, MobileNetV2
from ..detector import DenseDetector
from ..heads.yolo import OTHERS, YOLOv3Head
from ..labels import COCO
from ..necks.yolo import YOLOv3Neck
from ..variant import RGB, Variant, openmmlab

_STRIDES = (32, 16, 8)
_ANCHORS = SizedAnchors(
    _STRIDES,
    (((116, 90), (156, 198), (373, 326)), ((30, 61), (62, 45), (59, 119)), ((10, 13), (16, 30), (33, 23))),
)
_SMALL = SizedAnchors(
    _STRIDES,
    (((220, 125), (128, 222), (264, 266)), ((35, 87), (102, 96), (60, 170)), ((10, 15), (24, 36), (72, 42))),
)
_MOBILENET = partial(MobileNetV2, (3, 5, 7), activation=partial(F.leaky_relu, negative_slope=SLOPE))


def build(
    classes: int,
    *,
    backbone: Callable[[], nn.Module] = Darknet,
    channels: tuple[int, ...] = (512, 256, 128),
    wide: tuple[int, ...] = (1024, 512, 256),
    anchors: SizedAnchors = _ANCHORS,
) -> nn.Module:
    """A YOLOv3 on the last three levels of its backbone; `channels` of the neck and `wide` ones of the head."""
    trunk = backbone()
    levels = tuple(range(len(trunk.channels)))[-3:]
    neck = YOLOv3Neck(trunk.channels[-3:], channels)
    return DenseDetector(trunk, neck, YOLOv3Head(classes, channels, wide, anchors=anchors), levels)


_published = partial(openmmlab, "yolo")
_RAW = replace(RGB, mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))
_D53 = Variant(
    name="yolov3_d53",
    paper="arXiv 1804.02767",
    summary="anchors in the cells of three levels: Darknet-53, images of 608 px",
    build=build,
    form=Dense(_STRIDES, anchors=_ANCHORS.per_cell, clip="none", levels_together=True),
    classes_key="bbox_head.convs_pred.0.weight",
    input=_RAW.placed(size=(608, 608)),
    fusion=Fusion(1.0, 1.0),
    suppress=Suppress(iou=0.45),
    labels=COCO,
    published=_published("yolov3_d53_mstrain-608_273e_coco", "_20210518_115020-a2c3acb8", 33.7),
    beside_classes=OTHERS,
)
_MOBILE = replace(
    _D53,
    name="yolov3_mobilenetv2",
    summary="YOLOv3 on MobileNetV2, images of 416 px",
    build=partial(build, backbone=_MOBILENET, channels=(96, 96, 96), wide=(96, 96, 96)),
    input=RGB.placed(size=(416, 416)),
    published=_published("yolov3_mobilenetv2_mstrain-416_300e_coco", "_20210718_010823-f68a07b3", 23.9),
    mapping=MMDET,
)

VARIANTS = (
    _D53,
    _D53.derive(
        "yolov3_d53_416",
        "YOLOv3 on Darknet-53, images of 416 px",
        _published("yolov3_d53_mstrain-416_273e_coco", "-2b60fcd9", 30.9),
        build={},
        input=_RAW.placed(size=(416, 416)),
    ),
    _D53.derive(
        "yolov3_d53_320",
        "YOLOv3 on Darknet-53, images of 320 px",
        _published("yolov3_d53_320_273e_coco", "-421362b6", 27.9),
        build={},
        input=_RAW.placed(size=(320, 320)),
    ),
    _MOBILE,
    _MOBILE.derive(
        "yolov3_mobilenetv2_320",
        "YOLOv3 on MobileNetV2, images of 320 px",
        _published("yolov3_mobilenetv2_320_300e_coco", "_20210719_215349-d18dff72", 22.2),
        build={"anchors": _SMALL},
        input=RGB.placed(size=(320, 320)),
    ),
    _D53.derive(
        "yolov3_test",
        "tiny YOLOv3 for tests",
        build={
            "backbone": partial(Darknet, width=4, blocks=(1, 1, 1, 1, 1)),
            "channels": (32, 16, 16),
            "wide": (32, 16, 16),
        },
    ),
)
ALIASES = {"yolov3": "yolov3_d53"}
