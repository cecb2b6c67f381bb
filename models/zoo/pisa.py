"""Prime sample attention (PISA, arXiv 1904.04821) in Faster R-CNN: a way of training, with more proposals."""

from typing import Any

from ..backbones.resnet import X101_32X4D
from ..proposals import ProposalRule
from ..variant import Variant, openmmlab
from .faster_rcnn import FASTER_RCNN

_RULE = ProposalRule(top_k=2000, count=2000)


def _pisa(on: str, described: str, suffix: str, ap: float, **build: Any) -> Variant:
    return FASTER_RCNN.derive(
        f"pisa_faster_{on}",
        f"Faster R-CNN trained on prime samples (PISA): {described}",
        openmmlab("pisa", f"pisa_faster_rcnn_{on}_fpn_1x_coco", suffix, ap),
        build={"rule": _RULE, **build},
        paper="arXiv 1904.04821",
    )


VARIANTS = (
    _pisa("r50", "ResNet-50", "-dea93523", 38.4),
    _pisa("x101_32x4d", "ResNeXt-101 32x4d", "-e4accec4", 41.9, backbone=X101_32X4D),
)
ALIASES = {"pisa_faster": "pisa_faster_r50"}
