"""SENet ("Squeeze-and-Excitation Networks", arXiv 1709.01507) in SimpleBaseline."""

from ..backbones.resnet import Backbone
from ..backbones.senet import SE50, SE101, SE152
from ..variant import Variant
from .simplebaseline import with_backbone

_PAPER = "arXiv 1709.01507"


def _variant(depth: str, backbone: Backbone, file: str, ap: float) -> Variant:
    on = f"SE-ResNet-{depth.removesuffix('_384')}"
    return with_backbone(f"seresnet{depth}", on, backbone, f"top_down/seresnet/seresnet{file}", ap, paper=_PAPER)


VARIANTS = (
    _variant("50", SE50, "50_coco_256x192-25058b66_20200727", 72.9),
    _variant("50_384", SE50, "50_coco_384x288-bc0b7680_20200727", 74.8),
    _variant("101", SE101, "101_coco_256x192-83f29c4d_20200727", 73.4),
    _variant("101_384", SE101, "101_coco_384x288-48de1709_20200727", 75.4),
    _variant("152", SE152, "152_coco_256x192-1c628d79_20200727", 73.0),
    _variant("152_384", SE152, "152_coco_384x288-58b23ee8_20200727", 75.3),
)
ALIASES = {"td_seresnet50": "simplebaseline_seresnet50"}
