"""DirectPose ("DirectPose: Direct End-to-End Multi-Person Pose Estimation", arXiv 1911.07451)."""

from typing import Any

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..backbones.blurred import BlurredResNet
from ..detector import DenseDetector
from ..heads.directpose import DirectPoseHead
from ..layouts import BENCHMARK_UNUSED, benchmark
from ..necks.fpn import FPN
from ..skeletons import COCO_PERSON
from ..variant import CAFFE_1, Published, Variant

_STRIDES = (8, 16, 32)


def build(classes: int, *, depth: int = 50, width: int = 64, channels: int = 256, **head: Any) -> nn.Module:
    """A ResNet that blurs before it downsamples. Other arguments go to the head."""
    trunk = BlurredResNet(depth, width=width)
    neck = FPN(trunk.channels[1:], channels, len(_STRIDES))
    return DenseDetector(trunk, neck, DirectPoseHead(classes, channels, strides=_STRIDES, **head))


_DIRECTPOSE = Variant(
    name="directpose_r50",
    paper="arXiv 1911.07451",
    summary="people with keypoints per point, aligned features; ResNet-50 with blurred downsampling",
    build=build,
    form=Dense(_STRIDES, clip="last_pixel"),
    classes_key="bbox_head.conv_cls.weight",
    input=CAFFE_1,
    fusion=Fusion(1.0, 1.0, rank_by="fused"),
    suppress=Suppress(conf=0.4, iou=0.4, inclusive=True),
    labels=("person",),
    published=Published(None, 63.1),  # no longer to be had
    mapping={
        **benchmark({"cls_logits": "conv_cls", "centerness": "conv_centerness"}, layers=4, step=3),
        ".kps_offsets.weight": ".weight",
        ".kps_offsets.bias": ".bias",
    },
    # The blur's constants, and the levels that the head does not read.
    unused=(*BENCHMARK_UNUSED, ".filt", ".top_blocks."),
    skeleton=COCO_PERSON,
)

VARIANTS = (
    _DIRECTPOSE,
    _DIRECTPOSE.derive(
        "directpose_r101",
        "people with keypoints per point, aligned features; ResNet-101 with blurred downsampling",
        build={"depth": 101},
    ),
    _DIRECTPOSE.derive(
        "directpose_test",
        "tiny DirectPose for tests",
        build={"depth": 14, "width": 8, "channels": 32, "stacked": 1, "group_width": 8},
    ),
)
ALIASES = {"directpose": "directpose_r50"}
