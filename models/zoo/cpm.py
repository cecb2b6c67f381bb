"""Convolutional Pose Machines ("Convolutional Pose Machines", arXiv 1602.00134)."""

from dataclasses import replace

from torch import nn

from ..backbones.cpm import CPM
from ..heads.heatmap import HeatmapHead
from ..pose import LARGE_CROP, PoseNetwork, mmpose
from .simplebaseline import SIMPLEBASELINE


def build(keypoints: int) -> nn.Module:
    """A CPM, whose last maps are the output."""
    return PoseNetwork(CPM(keypoints), HeatmapHead(keypoints, keypoints, (), final=0))


_FILE = "v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_cpm_8xb"
_CPM = replace(
    SIMPLEBASELINE,
    name="cpm",
    paper="arXiv 1602.00134",
    summary="six stages that refine maps",
    build=build,
    classes_key="backbone.stem.9.conv.weight",
    published=mmpose(f"{_FILE}64-210e_coco-256x192-0e978875_20220920", 62.7),
)

VARIANTS = (
    _CPM,
    _CPM.derive(
        "cpm_384",
        "six stages that refine maps, crops of 384x288",
        mmpose(f"{_FILE}32-210e_coco-384x288-165487b8_20221011", 65.2),
        build={},
        input=LARGE_CROP,
    ),
)
ALIASES = {"td_cpm": "cpm"}
