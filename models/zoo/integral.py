"""Integral regression ("Integral Human Pose Regression", arXiv 1711.08229), and the same network trained with DSNT
(arXiv 1801.07372) or debiased (arXiv 2107.13788)."""

from dataclasses import replace

from ...deploy.forms import Heatmaps
from ..pose import CROP, TEST_CROP, mmpose
from .simplebaseline import SIMPLEBASELINE, TINY_PARTS

_FOLDER = "v1/body_2d_keypoint/integral_regression/coco/ipr_res50"
_SHIFT = 0.75  # places, not maps, are mirrored: what is at x goes to 256 - 1 - x in a crop, to 64 - 1/4 - x in its map
_IPR = replace(
    SIMPLEBASELINE,
    name="ipr_r50",
    paper="arXiv 1711.08229",
    summary="keypoints as the mean place of a heatmap: ResNet-50",
    form=Heatmaps("integral", shift=_SHIFT),
    published=mmpose(f"{_FOLDER}_8xb64-210e_coco-256x256-a3898a33_20220913", 63.3),
    input=CROP.placed(size=(256, 256)),
    mapping={"^head.simplebaseline_head.": "head."},
    unused=("head.linspace_",),
)

VARIANTS = (
    _IPR,
    _IPR.derive(
        "ipr_r50_dsnt",
        "integral regression trained by DSNT: ResNet-50",
        mmpose(f"{_FOLDER}_dsnt-8xb64-210e_coco-256x256-441eedc0_20220913", 67.4),
        build={},
        paper="arXiv 1801.07372",
    ),
    _IPR.derive(
        "ipr_r50_debias",
        "integral regression without the softmax's bias: ResNet-50",
        mmpose(f"{_FOLDER}_debias-8xb64-210e_coco-256x256-055a7699_20220913", 67.5),
        build={},
        paper="arXiv 2107.13788",
        form=Heatmaps("integral", beta=10.0, debias=True, shift=_SHIFT),
    ),
    _IPR.derive(
        "ipr_test",
        "tiny network of integral regression for tests",
        build=TINY_PARTS,
        input=TEST_CROP,
    ),
)
ALIASES = {"ipr": "ipr_r50", "ipr_res50": "ipr_r50", "ipr_res50_dsnt": "ipr_r50_dsnt"}
