"""DetectoRS (arXiv 2006.02334) with Cascade R-CNN."""

from functools import partial

from ..backbones.detectors import RecursiveResNet
from ..necks.rfp import RFP
from ..variant import openmmlab
from .cascade_rcnn import CASCADE_RCNN
from .faster_rcnn import ANCHORS, SMALL

_R50 = partial(RecursiveResNet, 50)
_TINY = partial(RecursiveResNet, 14, width=8)


def _parts(backbone: partial[RecursiveResNet]) -> dict[str, object]:
    neck = partial(RFP, levels=len(ANCHORS.strides), extra="pool", again=backbone)
    return {"backbone": backbone, "neck": neck, "levels": (0, 1, 2, 3, 4)}


VARIANTS = (
    CASCADE_RCNN.derive(
        "detectors_cascade_r50",
        "Cascade R-CNN that sees an image twice, with switchable convolutions (DetectoRS): ResNet-50",
        openmmlab("detectors", "detectors_cascade_rcnn_r50_1x_coco", "-32a10ba0", 47.4),
        build=_parts(_R50),
        paper="arXiv 2006.02334",
    ),
    CASCADE_RCNN.derive(
        "detectors_cascade_test",
        "tiny DetectoRS for tests",
        build=SMALL | _parts(_TINY),
        paper="arXiv 2006.02334",
    ),
)
ALIASES = {"detectors": "detectors_cascade_r50"}
