"""SimpleBaseline ("Simple Baselines for Human Pose Estimation and Tracking", arXiv 1804.06208)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from ...deploy.forms import Heatmaps
from ..backbones.mobilenetv2 import MobileNetV2
from ..backbones.resnet import R50, R101, R152, TINY, Backbone
from ..heads.heatmap import HeatmapHead
from ..pose import CROP, LARGE_CROP, OLD_HEAD, TEST_CROP, PoseNetwork, mmpose, top_down
from ..variant import Published, Variant, spelled

X50, X101, X152 = (partial(network, groups=(32, 4)) for network in (R50, R101, R152))
Trunk = Callable[[], Any]


def build(
    keypoints: int,
    *,
    backbone: Trunk = R50,
    widths: Sequence[int] = (256, 256, 256),
    head: type[HeatmapHead] = HeatmapHead,
) -> nn.Module:
    """A backbone and one transposed convolution per entry of `widths`."""
    trunk = backbone()
    return PoseNetwork(trunk, head(keypoints, trunk.channels[-1], widths))


TINY_PARTS = {"backbone": TINY, "widths": (16, 16, 16)}
"""Arguments of a tiny SimpleBaseline for tests."""

SIMPLEBASELINE = top_down(
    name="simplebaseline_r50",
    paper="arXiv 1804.06208",
    summary="a ResNet and three transposed convolutions: ResNet-50",
    build=build,
    form=Heatmaps("quarter", shift=1.0),
    classes_key="head.final_layer.weight",
    published=mmpose(
        "v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192-04af38ce_20220923", 71.8
    ),
    mapping=OLD_HEAD,
)

AUTHORS = {
    **{f"^{part}": f"backbone.{part}" for part in ("conv1.", "bn1.", "layer")},
    **{f"^{part}": f"head.{part}" for part in ("deconv_layers.", "final_layer.")},
}
"""The authors' keys have no prefix for the parts of the network."""

_NEW, _OLD = "v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_", "top_down/resnext/"


def _openmmlab(on: str, backbone: Trunk, file: str, ap: float) -> Variant:
    """A variant with another backbone or a larger crop, with mmpose's checkpoint."""
    return SIMPLEBASELINE.derive(
        f"simplebaseline_{on}",
        f"SimpleBaseline: {spelled(on)}",
        mmpose(file, ap),
        build={"backbone": backbone},
        input=LARGE_CROP if on.endswith("_384") else CROP,
    )


def _authors(on: str, backbone: Backbone, ap: float) -> Variant:
    """The authors' version, which normalises BGR with the means of RGB. Its weights are on a web drive."""
    return SIMPLEBASELINE.derive(
        f"simplebaseline_{on}_authors",
        f"SimpleBaseline by its authors: {spelled(on)}",
        Published(None, ap),
        build={"backbone": backbone},
        input=replace(LARGE_CROP if on.endswith("_384") else CROP, color="bgr"),
        mapping=AUTHORS,
    )


def with_backbone(
    name: str,
    on: str,
    backbone: Trunk,
    file: str,
    ap: float,
    *,
    paper: str,
    mapping: Mapping[str, str] | None = None,
    **build: Any,
) -> Variant:
    """A SimpleBaseline on the backbone of another `paper`, with mmpose's checkpoint; `on` spells the backbone.

    The name of a variant for large crops ends in "_384".
    """
    large = name.endswith("_384")
    return SIMPLEBASELINE.derive(
        f"simplebaseline_{name}",
        f"SimpleBaseline: {on}" + (", crops of 384x288" if large else ""),
        mmpose(file, ap),
        build={"backbone": backbone, **build},
        input=LARGE_CROP if large else CROP,
        mapping={**SIMPLEBASELINE.mapping, **(mapping or {})},
        paper=paper,
    )


VARIANTS = (
    SIMPLEBASELINE,
    _openmmlab("r50_384", R50, f"{_NEW}res50_8xb64-210e_coco-384x288-7b8db90e_20220923", 73.1),
    _openmmlab("r101", R101, f"{_NEW}res101_8xb64-210e_coco-256x192-065d3625_20220926", 72.8),
    _openmmlab("r152", R152, f"{_NEW}res152_8xb32-210e_coco-256x192-0345f330_20220928", 73.6),
    _openmmlab("r152_384", R152, f"{_NEW}res152_8xb32-210e_coco-384x288-7fbb906f_20220927", 75.0),
    _openmmlab("x50_32x4d", X50, f"{_OLD}resnext50_coco_256x192-dcff15f6_20200727", 71.5),
    _openmmlab("x50_32x4d_384", X50, f"{_OLD}resnext50_coco_384x288-412c848f_20200727", 72.4),
    _openmmlab("x101_32x4d", X101, f"{_OLD}resnext101_coco_256x192-c7eba365_20200727", 72.6),
    _openmmlab("x101_32x4d_384", X101, f"{_OLD}resnext101_coco_384x288-f5eabcd6_20200727", 74.4),
    _openmmlab("x152_32x4d", X152, f"{_OLD}resnext152_coco_256x192-102449aa_20200727", 73.0),
    _openmmlab("x152_32x4d_384", X152, f"{_OLD}resnext152_coco_384x288-806176df_20200727", 74.2),
    _openmmlab("mobilenetv2", MobileNetV2, f"{_NEW}mobilenetv2_8xb64-210e_coco-256x192-55a04c35_20221016", 64.8),
    _openmmlab("mobilenetv2_384", MobileNetV2, f"{_NEW}mobilenetv2_8xb64-210e_coco-384x288-d3ab1457_20221013", 67.7),
    _authors("r50", R50, 70.4),
    _authors("r101", R101, 71.4),
    _authors("r152", R152, 72.0),
    _authors("r50_384", R50, 72.2),
    _authors("r101_384", R101, 73.6),
    _authors("r152_384", R152, 74.3),
    SIMPLEBASELINE.derive(
        "simplebaseline_test",
        "tiny SimpleBaseline for tests",
        build=TINY_PARTS,
        input=TEST_CROP,
    ),
)
ALIASES = {
    "simplebaseline": "simplebaseline_r50",
    "td_res50": "simplebaseline_r50",
    "td_resnext50": "simplebaseline_x50_32x4d",
    "td_mobilenetv2": "simplebaseline_mobilenetv2",
}
