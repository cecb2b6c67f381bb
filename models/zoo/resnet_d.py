"""ResNet-D ("Bag of Tricks for Image Classification with Convolutional Neural Networks", arXiv 1812.01187) in
SimpleBaseline."""

from ..backbones.resnet import MMPOSE_STEM, R50, R101, R152, Backbone, averaged_shortcuts
from ..variant import Variant
from .simplebaseline import with_backbone


def _variant(name: str, backbone: Backbone, file: str, ap: float) -> Variant:
    return with_backbone(
        name,
        f"ResNet-{name[1:].removesuffix('_384').removesuffix('d')}-D",
        lambda: averaged_shortcuts(backbone(deep_stem=True)),
        f"v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_resnetv1d{file}",
        ap,
        paper="arXiv 1812.01187",
        mapping=MMPOSE_STEM,
    )


VARIANTS = (
    _variant("r50d", R50, "50_8xb64-210e_coco-256x192-27545d63_20221020", 72.2),
    _variant("r50d_384", R50, "50_8xb64-210e_coco-384x288-0646b46e_20221020", 73.0),
    _variant("r101d", R101, "101_8xb64-210e_coco-256x192-ee9e7212_20221021", 73.2),
    _variant("r101d_384", R101, "101_8xb32-210e_coco-384x288-d0b5875f_20221028", 74.8),
    _variant("r152d", R152, "152_8xb32-210e_coco-256x192-fd49f947_20221021", 73.7),
    _variant("r152d_384", R152, "152_8xb48-210e_coco-384x288-b9a99602_20221022", 75.1),
)
ALIASES = {"td_resnetv1d50": "simplebaseline_r50d"}
