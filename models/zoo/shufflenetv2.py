"""ShuffleNet V2 (arXiv 1807.11164) in SimpleBaseline."""

from functools import partial

from ..backbones.shufflenetv2 import OPENMMLAB, ShuffleNetV2, last_width
from .simplebaseline import with_backbone

_variant = partial(
    with_backbone,
    on="ShuffleNet V2",
    backbone=partial(ShuffleNetV2, last=last_width(1.0)),
    paper="arXiv 1807.11164",
    mapping=OPENMMLAB,
)
_FILE = "v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_shufflenetv2_8xb64-210e_coco"

VARIANTS = (
    _variant("shufflenetv2", file=f"{_FILE}-256x192-51fb931e_20221014", ap=60.2),
    _variant("shufflenetv2_384", file=f"{_FILE}-384x288-d30ab55c_20221014", ap=63.8),
)
ALIASES = {"td_shufflenetv2": "simplebaseline_shufflenetv2"}
