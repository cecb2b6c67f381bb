"""ShuffleNet (arXiv 1707.01083) in SimpleBaseline."""

from functools import partial

from ..backbones.shufflenet import ShuffleNet
from .simplebaseline import with_backbone

_PAPER = "arXiv 1707.01083"
_variant = partial(with_backbone, on="ShuffleNet of 3 groups", backbone=ShuffleNet, paper=_PAPER)
_FILE = "v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_shufflenetv1_8xb64-210e_coco"

VARIANTS = (
    _variant("shufflenet", file=f"{_FILE}-256x192-7a7ea4f4_20221013", ap=58.7),
    _variant("shufflenet_384", file=f"{_FILE}-384x288-8342f8ba_20221013", ap=62.6),
)
ALIASES = {"td_shufflenetv1": "simplebaseline_shufflenet"}
