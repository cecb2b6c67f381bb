"""RefineDet (arXiv 1711.06897)."""

import math
from dataclasses import replace

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import SizedAnchors
from ..backbones.vgg import VGG
from ..detector import DenseDetector
from ..heads.refinedet import RefineDetHead
from ..labels import COCO, VOC
from ..necks.refine import RefineNeck
from ..variant import CAFFE_1, Published, Variant, stretched

_STRIDES = (8, 16, 32, 64)


def build(classes: int, *, side: int = 320, narrow: int = 1) -> nn.Module:
    """A RefineDet on VGG-16 for images of `side` px; all layers have 1 / `narrow` of the channels."""
    trunk = VGG((22, 29, 34), halved=True, narrow=narrow)
    neck = RefineNeck(trunk.channels, 256 // narrow)
    head = RefineDetHead(classes, neck.channels, 256 // narrow, anchors=_anchors(side))
    return DenseDetector(trunk, neck, head, levels=(0, 1, 2))


def _anchors(side: int) -> SizedAnchors:
    """A square of four strides and two boxes of its area in every cell, none larger than the image."""
    levels: list[tuple[tuple[float, float], ...]] = []
    for stride in _STRIDES:
        size, root = 4.0 * stride, math.sqrt(2)
        long, short = min(side, size * root), size / root
        levels.append(((size, size), (long, short), (short, long)))
    return SizedAnchors(_STRIDES, tuple(levels))


_NAMES = {"vgg.": "backbone.features."} | {
    f"^{part}.": f"bbox_head.{part}." for part in ("arm_loc", "arm_conf", "odm_loc", "odm_conf")
}
_NAMES |= {f"^tcb0.{3 * i + k}.": f"neck.tcb0.{i}.{k}." for i in range(4) for k in (0, 2)}
_NAMES |= {f"^tcb2.{3 * i + 1}.": f"neck.tcb2.{i}." for i in range(4)}
_NAMES |= {f"^{part}": f"neck.{part}" for part in ("tcb1.", "extras.", "conv4_3_L2Norm.", "conv5_3_L2Norm.")}

_VALUES = replace(CAFFE_1, mean=(104.0, 117.0, 123.0))
_320 = Variant(
    name="refinedet320_vgg16",
    paper="arXiv 1711.06897",
    summary="SSD that refines its anchors first: VGG-16, images of 320 px, trained on VOC",
    build=build,
    # The authors keep a thousand of every class; what lies behind that many pairs of a level is never found.
    form=Dense(_STRIDES, anchors=3, top_k=10_000, clip="none"),
    classes_key="bbox_head.odm_conf.0.weight",
    input=stretched(_VALUES, 320, 320, multiple=1),
    suppress=Suppress(iou=0.45, max_det=500),
    labels=VOC,
    published=Published(None, 79.8),  # a port's, on a drive; mean AP on VOC 2007, at an IoU of 0.5
    mapping=_NAMES,
    beside_classes=1,
)

VARIANTS = (
    _320,
    _320.derive(
        "refinedet512_vgg16",
        "RefineDet on VGG-16, images of 512 px",
        Published(None, 33.0),
        build={"side": 512},
        input=stretched(_VALUES, 512, 512, multiple=1),
        labels=COCO,
    ),
    _320.derive("refinedet_test", "tiny RefineDet for tests", build={"narrow": 16}),
)
ALIASES = {"refinedet": "refinedet512_vgg16"}
