"""VGG ("Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv 1409.1556) in SimpleBaseline."""

from ..backbones.vgg import BatchNormVGG
from .simplebaseline import with_backbone

VARIANTS = (
    with_backbone(
        "vgg16",
        "VGG-16 with batch norms",
        BatchNormVGG,
        "top_down/vgg/vgg16_bn_coco_256x192-7e7c58d6_20210517",
        69.9,
        paper="arXiv 1409.1556",
    ),
)
ALIASES = {"td_vgg16": "simplebaseline_vgg16"}
