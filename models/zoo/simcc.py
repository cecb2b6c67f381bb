"""SimCC ("a Simple Coordinate Classification Perspective for Human Pose Estimation", arXiv 2107.03332)."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from ...deploy.forms import Simcc
from ..backbones.mobilenetv2 import MobileNetV2
from ..backbones.resnet import R50, TINY
from ..heads.simcc import SimCCHead
from ..pose import CROP, PoseNetwork, mmpose, top_down


def build(
    keypoints: int,
    *,
    backbone: Callable[[], Any] = R50,
    widths: Sequence[int] = (256, 256, 256),
    size: tuple[int, int] = (256, 192),
) -> nn.Module:
    """A trunk, one transposed convolution per entry of `widths`, and linear layers, for inputs of `size` (h, w)."""
    trunk = backbone()
    return PoseNetwork(trunk, SimCCHead(keypoints, trunk.channels[-1], size, widths=widths))


_FOLDER = "v1/body_2d_keypoint/simcc/coco/simcc_"

SIMCC = top_down(
    name="simcc_r50",
    paper="arXiv 2107.03332",
    summary="coordinates as a choice among bins, two a pixel: ResNet-50",
    build=build,
    form=Simcc(),
    classes_key="head.deconv_head.final_layer.weight",
    published=mmpose(f"{_FOLDER}res50_8xb64-210e_coco-256x192-8e0f5b59_20220919", 72.1),
)

VARIANTS = (
    SIMCC,
    SIMCC.derive(
        "simcc_r50_384",
        "SimCC: ResNet-50, crops of 384x288",
        mmpose(f"{_FOLDER}res50_8xb32-140e_coco-384x288-45c3ba34_20220913", 73.5),
        build={"size": (384, 288)},
        input=CROP.placed(size=(384, 288)),
    ),
    SIMCC.derive(
        "simcc_mobilenetv2",
        "SimCC: MobileNetV2, without transposed convolutions",
        mmpose(f"{_FOLDER}mobilenetv2_wo-deconv-8xb64-210e_coco-256x192-4b0703bb_20221010", 62.0),
        build={"backbone": MobileNetV2, "widths": ()},
        classes_key="head.final_layer.weight",
    ),
    SIMCC.derive(
        "simcc_test",
        "tiny SimCC for tests",
        build={"backbone": TINY, "widths": (16, 16, 16), "size": (96, 64)},
        input=CROP.placed(size=(96, 64)),
    ),
)
ALIASES = {"simcc": "simcc_r50", "simcc_res50": "simcc_r50"}
