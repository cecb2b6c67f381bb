"""DEKR ("Bottom-Up Human Pose Estimation via Disentangled Keypoint Regression", arXiv 2104.02300)."""

from collections.abc import Callable
from functools import partial

from torch import nn

from ...deploy.forms import Roots
from ..backbones.hrnet import HRNet
from ..backbones.resnet import TINY
from ..heads.dekr import DEKRHead
from ..necks.feature_maps import FeatureMaps
from ..pose import TEST_WARP, WARP, PoseNetwork, bottom_up, mmpose
from ..skeletons import COCO_PERSON

W32, W48 = (partial(HRNet, width, outputs=4) for width in (32, 48))


def build(
    keypoints: int,
    *,
    backbone: Callable[[], nn.Module] = W32,
    links: int | None = len(COCO_PERSON.links),
    width: int = 15,
) -> nn.Module:
    """A backbone whose levels are joined. With `links` of a skeleton, poses are scored again."""
    trunk = backbone()
    neck = FeatureMaps(trunk.channels, range(4), concat=True)
    return PoseNetwork(trunk, DEKRHead(keypoints, neck.channels[0], width=width, links=links), neck)


_WARP = WARP.placed(multiple=32)
_DEKR = bottom_up(
    name="dekr_hrnet_w32",
    paper="arXiv 2104.02300",
    summary="displacements to each keypoint from features of its own (DEKR): HRNet-W32",
    build=build,
    form=Roots(
        flip=True,
        kernel=5,
        nearby=0.05,
        torso=(5, 6),  # from the shoulders to the hips
        shift=1.0,
        shift_displacements=0.75,
    ),
    input=_WARP,
    classes_key="head.displacement_conv_layers.3.weight",
    published=mmpose("v1/body_2d_keypoint/dekr/coco/dekr_hrnet-w32_8xb10-140e_coco-512x512_ac7c17bf-20221228", 68.6),
    unused=("regular_matrix",),
)

VARIANTS = (
    _DEKR,
    _DEKR.derive(
        "dekr_hrnet_w48_640",
        "DEKR: HRNet-W48, images of 640 px",
        mmpose("v1/body_2d_keypoint/dekr/coco/dekr_hrnet-w48_8xb10-140e_coco-640x640_74796c32-20230124", 71.4),
        build={"backbone": W48},
        input=_WARP.placed(size=(640, 640)),
    ),
    _DEKR.derive("dekr_test", "tiny DEKR for tests", build={"backbone": TINY, "width": 4}, input=TEST_WARP),
)
ALIASES = {"dekr": "dekr_hrnet_w32"}
