"""AlexNet ("ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012) in SimpleBaseline."""

from ..backbones.alexnet import AlexNet
from .simplebaseline import with_backbone

VARIANTS = (
    with_backbone(
        "alexnet",
        "AlexNet",
        AlexNet,
        "top_down/alexnet/alexnet_coco_256x192-a7b1fd15_20200727",
        44.8,
        paper="doi 10.1145/3065386",
    ),
)
ALIASES = {"td_alexnet": "simplebaseline_alexnet"}
