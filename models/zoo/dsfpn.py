"""DSFPN ("Dually Supervised Feature Pyramid for Object Detection and Segmentation", arXiv 1912.03730) in Faster R-CNN.

What it supervises besides only trains. Classes and boxes have layers of their own, and one box is for all classes.
"""

from functools import partial

from ..backbones.resnet import R50_CAFFE, R101_CAFFE
from ..heads.bbox import SplitBoxHead
from ..variant import CAFFE_1
from .faster_rcnn import FASTER_RCNN, SMALL

_SPLIT = {"box_head": partial(SplitBoxHead, agnostic=True)}
_DSFPN = FASTER_RCNN.derive(
    "dsfpn_faster_r50",
    "Faster R-CNN with separate layers for classes and boxes (DSFPN)",
    None,  # the authors have published no weights
    build={**_SPLIT, "backbone": R50_CAFFE},
    paper="arXiv 1912.03730",
    input=CAFFE_1,
)

VARIANTS = (
    _DSFPN,
    _DSFPN.derive("dsfpn_faster_r101", "DSFPN in Faster R-CNN: ResNet-101", build={"backbone": R101_CAFFE}),
    _DSFPN.derive("dsfpn_test", "tiny DSFPN for tests", build=SMALL),
)
ALIASES = {"dsfpn": "dsfpn_faster_r50"}
