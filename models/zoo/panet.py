"""PANet's pyramid with a bottom-up path (arXiv 1803.01534) in Faster R-CNN."""

from functools import partial

from ..variant import openmmlab
from .faster_rcnn import FASTER_RCNN, POOLED

VARIANTS = (
    FASTER_RCNN.derive(
        "pafpn_faster_r50",
        "Faster R-CNN on a pyramid with a bottom-up path",
        openmmlab("pafpn", "faster_rcnn_r50_pafpn_1x_coco", "_bbox_mAP-0.375_20200503_105836-b7b4b9bd", 37.5),
        build={"neck": partial(POOLED, bottom_up="plain")},
        paper="arXiv 1803.01534",
    ),
)
ALIASES = {"pafpn": "pafpn_faster_r50"}
