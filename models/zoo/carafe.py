"""Content-aware upsampling (CARAFE, arXiv 1905.02188) in Faster R-CNN."""

from ..necks.carafe import CarafePyramid
from ..variant import RGB, openmmlab, padded
from .faster_rcnn import FASTER_RCNN

_CARAFE = FASTER_RCNN.derive(
    "carafe_faster_r50",
    "Faster R-CNN on a pyramid that upsamples by content",
    openmmlab("carafe", "faster_rcnn_r50_fpn_carafe_1x_coco", "_bbox_mAP-0.386_20200504_175733-385a75b7", 38.6),
    build={"neck": CarafePyramid},
    paper="arXiv 1905.02188",
    input=padded(RGB, multiple=64),
)

VARIANTS = (_CARAFE,)
ALIASES = {"carafe": "carafe_faster_r50"}
