"""HRNet ("Deep High-Resolution Representation Learning for Human Pose Estimation", arXiv 1902.09212)."""

from torch import nn

from ...deploy.forms import Heatmaps
from ..backbones import hrnet
from ..heads.heatmap import HeatmapHead
from ..pose import CROP, LARGE_CROP, OLD_HEAD, TEST_CROP, PoseNetwork, mmpose, top_down
from ..variant import Variant, spelled


def build(
    keypoints: int,
    *,
    width: int = 32,
    modules: tuple[int, int, int] = (1, 4, 3),
    blocks: int = 4,
    stem: int = 64,
    head: type[HeatmapHead] = HeatmapHead,
) -> nn.Module:
    """An HRNet and one convolution."""
    backbone = hrnet.HRNet(width, modules=modules, blocks=blocks, stem=stem)
    return PoseNetwork(backbone, head(keypoints, width, ()))


TINY = {"width": 8, "modules": (1, 1, 1), "blocks": 1, "stem": 8}
"""Arguments of a tiny HRNet for tests."""

HRNET = top_down(
    name="hrnet_w32",
    paper="arXiv 1902.09212",
    summary="a network with high resolution all along: HRNet-W32",
    build=build,
    form=Heatmaps("quarter", shift=1.0),
    classes_key="head.final_layer.weight",
    published=mmpose(
        "v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909", 74.6
    ),
    mapping={**OLD_HEAD, **hrnet.AUTHORS, "^final_layer.": "head.final_layer."},
)


def _variant(on: str, width: int, file: str, ap: float) -> Variant:
    return HRNET.derive(
        f"hrnet_{on}",
        f"HRNet: {spelled(on)}",
        mmpose(f"v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-{file}", ap),
        build={"width": width},
        input=LARGE_CROP if on.endswith("_384") else CROP,
    )


VARIANTS = (
    HRNET,
    _variant("w32_384", 32, "w32_8xb64-210e_coco-384x288-ca5956af_20220909", 76.0),
    _variant("w48", 48, "w48_8xb32-210e_coco-256x192-0e67c616_20220913", 75.6),
    _variant("w48_384", 48, "w48_8xb32-210e_coco-384x288-c161b7de_20220915", 76.7),
    HRNET.derive("hrnet_test", "tiny HRNet for tests", build=TINY, input=TEST_CROP),
)
ALIASES = {"hrnet": "hrnet_w32", "td_hrnet_w32": "hrnet_w32"}
