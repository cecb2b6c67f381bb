"""RTMPose ("Real-Time Multi-Person Pose Estimation based on MMPose", arXiv 2303.07399)."""

from functools import partial

from torch import nn

from ...deploy.forms import Simcc
from ..backbones.csp import CSPNeXt
from ..heads.rtmcc import RTMCCHead
from ..pose import CROP, PoseNetwork, mmpose, top_down
from ..variant import Variant


def build(
    keypoints: int, *, deep: float, wide: float, size: tuple[int, int] = (256, 192), hidden: int = 256
) -> nn.Module:
    """A CSPNeXt and a gated attention unit of width `hidden`, for inputs of `size` (h, w)."""
    trunk = CSPNeXt(deep=deep, wide=wide, levels=(3,))
    return PoseNetwork(trunk, RTMCCHead(keypoints, trunk.channels[-1], size, hidden=hidden))


_SIZES = {"t": (0.167, 0.375), "s": (0.33, 0.5), "m": (0.67, 0.75), "l": (1.0, 1.0)}
_TRAINED = {
    "simcc-aic-coco": "trained on AI Challenger and COCO",
    "simcc-coco": "trained on COCO",
    "simcc-body7": "trained on Body7, its AP on Body8",
}
"""The training data by the name of the checkpoint's file."""

_TEST = top_down(
    name="rtmpose_test",
    paper="arXiv 2303.07399",
    summary="tiny RTMPose for tests",
    build=partial(build, deep=0.1, wide=0.125, size=(96, 64), hidden=32),
    form=Simcc(),
    classes_key="head.final_layer.weight",
    input=CROP.placed(size=(96, 64)),
)


def _published(name: str, file: str, ap: float) -> Variant:
    size = name.split("_")[1]
    deep, wide = _SIZES[size]
    crop = (384, 288) if "384x288" in file else (256, 192)
    trained = next(words for part, words in _TRAINED.items() if part in file)
    return _TEST.derive(
        name,
        f"RTMPose-{size}, crops of {crop[0]}x{crop[1]}, {trained}",
        mmpose(f"v1/projects/rtmposev1/rtmpose-{file}", ap),
        build={"deep": deep, "wide": wide, "size": crop, "hidden": 256},
        input=CROP.placed(size=crop),
    )


VARIANTS = (
    _published("rtmpose_m", "m_simcc-aic-coco_pt-aic-coco_420e-256x192-63eb25f7_20230126", 75.8),
    _published("rtmpose_t", "tiny_simcc-aic-coco_pt-aic-coco_420e-256x192-cfc8f33d_20230126", 68.5),
    _published("rtmpose_s", "s_simcc-aic-coco_pt-aic-coco_420e-256x192-fcb2599b_20230126", 72.2),
    _published("rtmpose_l", "l_simcc-aic-coco_pt-aic-coco_420e-256x192-f016ffe0_20230126", 76.5),
    _published("rtmpose_m_384", "m_simcc-aic-coco_pt-aic-coco_420e-384x288-a62a0b32_20230228", 77.0),
    _published("rtmpose_l_384", "l_simcc-aic-coco_pt-aic-coco_420e-384x288-97d6cb0f_20230228", 77.3),
    _published("rtmpose_t_coco", "tiny_simcc-coco_pt-aic-coco_420e-256x192-e613ba3f_20230127", 68.2),
    _published("rtmpose_s_coco", "s_simcc-coco_pt-aic-coco_420e-256x192-8edcf0d7_20230127", 71.6),
    _published("rtmpose_m_coco", "m_simcc-coco_pt-aic-coco_420e-256x192-d8dd5ca4_20230127", 74.6),
    _published("rtmpose_l_coco", "l_simcc-coco_pt-aic-coco_420e-256x192-1352a4d2_20230127", 75.8),
    _published("rtmpose_t_body8", "t_simcc-body7_pt-body7_420e-256x192-026a1439_20230504", 65.9),
    _published("rtmpose_s_body8", "s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504", 69.7),
    _published("rtmpose_m_body8", "m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504", 74.9),
    _published("rtmpose_l_body8", "l_simcc-body7_pt-body7_420e-256x192-4dba18fc_20230504", 76.7),
    _published("rtmpose_m_384_body8", "m_simcc-body7_pt-body7_420e-384x288-65e718c4_20230504", 76.6),
    _published("rtmpose_l_384_body8", "l_simcc-body7_pt-body7_420e-384x288-3f5a1437_20230504", 78.3),
    _TEST,
)
ALIASES = {"rtmpose": "rtmpose_m"}
