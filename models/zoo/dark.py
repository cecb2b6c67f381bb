"""DARK ("Distribution-Aware Coordinate Representation for Human Pose Estimation", arXiv 1910.06278)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...deploy.forms import Heatmaps
from ..backbones.resnet import R50, R101, R152
from ..pose import CROP, LARGE_CROP, SMALL_CROP, TEST_CROP, mmpose
from ..variant import Published, Variant, spelled
from . import hrnet
from .simplebaseline import AUTHORS, SIMPLEBASELINE

_OF = {"simplebaseline": SIMPLEBASELINE, "hrnet": hrnet.HRNET}
_R50, _R101, _R152 = ({"backbone": backbone} for backbone in (R50, R101, R152))
_W32, _W48 = {"width": 32}, {"width": 48}


def _openmmlab(of: str, on: str, build: Mapping[str, Any], file: str, ap: float) -> Variant:
    """OpenMMLab's version shifts mirrored maps by one px, as HRNet, and smooths large maps no more than small ones."""
    network, _, size = on.partition("_")
    return _OF[of].derive(
        "_".join(filter(None, (of, network, "dark", size))),
        f"heatmaps read by their distribution (DARK): {spelled(on)}",
        mmpose(f"v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_{file}", ap),
        build=build,
        paper="arXiv 1910.06278",
        form=Heatmaps("dark", shift=1.0),
        input=LARGE_CROP if size else CROP,
    )


def _authors(of: str, on: str, build: Mapping[str, Any], ap: float) -> Variant:
    """The authors' version for small crops: no shift, a kernel for targets of one px, and no URL of weights."""
    is_resnet = of == "simplebaseline"
    return _OF[of].derive(
        f"{of}_{on}_dark_128",
        f"DARK by its authors: {spelled(f'{on}_128')}",
        Published(None, ap),
        build=build,
        paper="arXiv 1910.06278",
        form=Heatmaps("dark", blur=3),
        input=replace(SMALL_CROP, color="bgr") if is_resnet else SMALL_CROP,
        mapping=AUTHORS if is_resnet else _OF[of].mapping,
    )


VARIANTS = (
    _openmmlab("hrnet", "w32", _W32, "hrnet-w32_dark-8xb64-210e_coco-256x192-0e00bf12_20220914", 75.7),
    _openmmlab("hrnet", "w32_384", _W32, "hrnet-w32_dark-8xb64-210e_coco-384x288-9bab4c9b_20220917", 76.6),
    _openmmlab("hrnet", "w48", _W48, "hrnet-w48_dark-8xb32-210e_coco-256x192-e1ebdd6f_20220913", 76.4),
    _openmmlab("hrnet", "w48_384", _W48, "hrnet-w48_dark-8xb32-210e_coco-384x288-39c3c381_20220916", 77.2),
    _openmmlab("simplebaseline", "r50", _R50, "res50_dark-8xb64-210e_coco-256x192-c129dcb6_20220926", 72.4),
    _openmmlab("simplebaseline", "r50_384", _R50, "res50_dark-8xb64-210e_coco-384x288-8b90b538_20220926", 73.5),
    _openmmlab("simplebaseline", "r101", _R101, "res101_dark-8xb64-210e_coco-256x192-528ec248_20220926", 73.3),
    _openmmlab("simplebaseline", "r101_384", _R101, "res101_dark-8xb64-210e_coco-384x288-487d40a4_20220926", 74.9),
    _openmmlab("simplebaseline", "r152", _R152, "res152_dark-8xb32-210e_coco-256x192-f754df5f_20221031", 74.3),
    _openmmlab("simplebaseline", "r152_384", _R152, "res152_dark-8xb32-210e_coco-384x288-329f8454_20221031", 75.7),
    _authors("hrnet", "w32", _W32, 70.7),
    _authors("hrnet", "w48", _W48, 71.9),
    _authors("simplebaseline", "r50", _R50, 62.6),
    _authors("simplebaseline", "r101", _R101, 63.2),
    _authors("simplebaseline", "r152", _R152, 63.1),
    hrnet.HRNET.derive(
        "dark_test",
        "tiny HRNet with DARK for tests",
        build=hrnet.TINY,
        paper="arXiv 1910.06278",
        form=Heatmaps("dark", shift=1.0),
        input=TEST_CROP,
    ),
)
ALIASES = {
    "dark": "hrnet_w32_dark",
    "td_hrnet_w32_dark": "hrnet_w32_dark",
    "td_res50_dark": "simplebaseline_r50_dark",
}
