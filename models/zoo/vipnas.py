"""ViPNAS ("ViPNAS: Efficient Video Pose Estimation via Neural Architecture Search", arXiv 2105.10154)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from ..backbones.vipnas import ViPNASMobileNetV3, ViPNASResNet
from ..heads.heatmap import HeatmapHead
from ..pose import PoseNetwork, mmpose
from .simplebaseline import SIMPLEBASELINE


def build(keypoints: int, *, backbone: Callable[[], Any], width: int, groups: int) -> nn.Module:
    """A backbone that was found by search, and three grouped transposed convolutions."""
    trunk = backbone()
    return PoseNetwork(trunk, HeatmapHead(keypoints, trunk.channels[-1], (width,) * 3, groups=(groups,) * 3))


_FILE = "v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_vipnas"
_RESNET = replace(
    SIMPLEBASELINE,
    name="vipnas_r50",
    paper="arXiv 2105.10154",
    summary="light networks found by search: from ResNet-50",
    build=partial(build, backbone=ViPNASResNet, width=144, groups=16),
    published=mmpose(f"{_FILE}-res50_8xb64-210e_coco-256x192-35d4bff9_20220917", 71.1),
)

VARIANTS = (
    _RESNET,
    _RESNET.derive(
        "vipnas_mobilenetv3",
        "light networks found by search: from MobileNetV3",
        mmpose(f"{_FILE}-mbv3_8xb64-210e_coco-256x192-e0987441_20221010", 70.0),
        build={"backbone": ViPNASMobileNetV3, "width": 160, "groups": 160},
    ),
)
ALIASES = {"vipnas": "vipnas_r50", "td_vipnas_res50": "vipnas_r50", "td_vipnas_mbv3": "vipnas_mobilenetv3"}
