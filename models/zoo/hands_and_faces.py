"""Hands and faces by HRNetV2 ("High-Resolution Representations for Labeling Pixels and Regions", arXiv 1904.04514)."""

from typing import Any

from torch import nn

from ...deploy.contract.skeleton import Skeleton
from ...deploy.forms import Heatmaps
from ..backbones.hrnet import HRNet
from ..heads.heatmap import HeatmapHead, old_names
from ..necks.feature_maps import FeatureMaps
from ..pose import CROP, OLD_HEAD, PoseNetwork, top_down
from ..skeletons import FACE_68, FACE_98, HAND
from ..variant import Published, Variant


def build(keypoints: int, *, width: int = 18) -> nn.Module:
    """An HRNet whose four levels are joined, and two 1x1 convolutions."""
    backbone = HRNet(width, outputs=4, mode="bilinear")
    neck = FeatureMaps(backbone.channels, range(4), concat=True)
    (channels,) = neck.channels
    return PoseNetwork(backbone, HeatmapHead(keypoints, channels, (), convs=((channels, 1),)), neck)


_HAND = top_down(
    name="hand_hrnetv2_w18",
    paper="arXiv 1904.04514",
    summary="hands: HRNetV2-W18, trained on COCO-WholeBody",
    build=build,
    input=CROP.placed(size=(256, 256)),
    form=Heatmaps("quarter", shift=1.0),
    classes_key="head.final_layer.weight",
    mapping={**OLD_HEAD, **old_names(1)},
    labels=("hand",),
    skeleton=HAND,
)
_DARK = {"form": Heatmaps("dark", shift=1.0), "paper": "arXiv 1910.06278"}
_UDP = {"form": Heatmaps("udp"), "paper": "arXiv 1911.07524", "input": _HAND.input.placed(spacing=True)}


def _of(what: str, skeleton: Skeleton, name: str, trained: str, file: str, **changes: Any) -> Variant:
    """A variant with mmpose's checkpoint, whose accuracy is not an AP."""
    return _HAND.derive(
        f"{what}_hrnetv2_w18{name}",
        f"{what}s: HRNetV2-W18, {trained}",
        Published(f"https://download.openmmlab.com/mmpose/{what}/{file}.pth"),
        build={},
        labels=(what,),
        skeleton=skeleton,
        **changes,
    )


def _hand(name: str, trained: str, file: str, **changes: Any) -> Variant:
    return _of("hand", HAND, name, trained, file, **changes)


def _face(name: str, skeleton: Skeleton, trained: str, file: str, **changes: Any) -> Variant:
    return _of("face", skeleton, name, trained, file, **changes)


_BODY, _TEN, _WFLW = "trained on COCO-WholeBody", "trained on OneHand10K", "98 points of WFLW"

VARIANTS = (
    _hand("", _BODY, "hrnetv2/hrnetv2_w18_coco_wholebody_hand_256x256-1c028db7_20210908"),
    _hand("_dark", f"{_BODY}, DARK", "dark/hrnetv2_w18_coco_wholebody_hand_256x256_dark-a9228c9c_20210908", **_DARK),
    _hand("_onehand10k", _TEN, "hrnetv2/hrnetv2_w18_onehand10k_256x256-30bc9c6b_20210330"),
    _hand("_onehand10k_dark", f"{_TEN}, DARK", "dark/hrnetv2_w18_onehand10k_256x256_dark-a2f80c64_20210330", **_DARK),
    _hand("_onehand10k_udp", f"{_TEN}, UDP", "udp/hrnetv2_w18_onehand10k_256x256_udp-0d1b515d_20210330", **_UDP),
    _face("_wflw", FACE_98, _WFLW, "hrnetv2/hrnetv2_w18_wflw_256x256-2bf032a6_20210125"),
    _face("_wflw_awing", FACE_98, f"{_WFLW}, wing loss", "hrnetv2/hrnetv2_w18_wflw_256x256_awing-5af5055c_20211212"),
    _face("_wflw_dark", FACE_98, f"{_WFLW}, DARK", "darkpose/hrnetv2_w18_wflw_256x256_dark-3f8e0c2c_20210125", **_DARK),
    _face("_300w", FACE_68, "68 points of 300W", "hrnetv2/hrnetv2_w18_300w_256x256-eea53406_20211019"),
    _face(
        "_68",
        FACE_68,
        "68 points of COCO-WholeBody",
        "hrnetv2/hrnetv2_w18_coco_wholebody_face_256x256-c1ca469b_20210909",
    ),
    _face(
        "_68_dark",
        FACE_68,
        "68 points of COCO-WholeBody, DARK",
        "darkpose/hrnetv2_w18_coco_wholebody_face_256x256_dark-3d9a334e_20210909",
        **_DARK,
    ),
)
ALIASES = {
    "hand": "hand_hrnetv2_w18",
    "face_points": "face_hrnetv2_w18_68",
    "hand_hrnetv2_w18_udp": "hand_hrnetv2_w18_onehand10k_udp",
}
