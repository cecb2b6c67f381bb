"""SCNet ("Improving Convolutional Networks with Self-Calibrated Convolutions", CVPR 2020) in SimpleBaseline."""

from ..backbones.resnet import Backbone
from ..backbones.scnet import SC50, SC101
from ..variant import Variant
from .simplebaseline import with_backbone

_PAPER = "doi 10.1109/CVPR42600.2020.01011"


def _variant(depth: str, backbone: Backbone, file: str, ap: float) -> Variant:
    on = f"SCNet-{depth.removesuffix('_384')}"
    return with_backbone(f"scnet{depth}", on, backbone, f"top_down/scnet/scnet{file}", ap, paper=_PAPER)


VARIANTS = (
    _variant("50", SC50, "50_coco_256x192-6920f829_20200709", 72.8),
    _variant("50_384", SC50, "50_coco_384x288-9cacd0ea_20200709", 75.1),
    _variant("101", SC101, "101_coco_256x192-6d348ef9_20200709", 73.3),
    _variant("101_384", SC101, "101_coco_384x288-0b6e631b_20200709", 75.2),
)
ALIASES = {"td_scnet50": "simplebaseline_scnet50"}
