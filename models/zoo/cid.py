"""CID ("Contextual Instance Decoupling for Robust Multi-Person Pose Estimation", CVPR 2022)."""

from collections.abc import Callable
from functools import partial

from torch import nn

from ...deploy.forms import People
from ..backbones.hrnet import HRNet
from ..backbones.resnet import TINY
from ..heads.cid import OLD_NAMES, CIDHead
from ..necks.feature_maps import FeatureMaps
from ..pose import OLD_HEAD, TEST_WARP, PoseNetwork, TwoViewNetwork, bottom_up, mmpose
from ..skeletons import COCO_PERSON
from ..variant import Published, Variant

W32, W48 = (partial(HRNet, width, outputs=4) for width in (32, 48))


def build(
    keypoints: int, *, backbone: Callable[[], nn.Module] = W32, channels: int = 32, flip: bool = False
) -> nn.Module:
    """A backbone whose levels are joined, and heatmaps of `channels` features for each person.

    With `flip` it runs on the image and its mirror image, merged inside, because the people of both must be the same.
    """
    trunk = backbone()
    neck = FeatureMaps(trunk.channels, range(4), concat=True)
    # Nobody knows what a mirror exchanges of other keypoints.
    order = COCO_PERSON.mirrored() if keypoints == len(COCO_PERSON.keypoints) else range(keypoints)
    head = CIDHead(keypoints, neck.channels[0], order, channels=channels)
    return (TwoViewNetwork if flip else PoseNetwork)(trunk, head, neck)


_W32 = mmpose("v1/body_2d_keypoint/cid/coco/cid_hrnet-w32_8xb20-140e_coco-512x512_42b7e6e6-20230207", 70.4)
_W48 = mmpose("v1/body_2d_keypoint/cid/coco/cid_hrnet-w48_8xb20-140e_coco-512x512_a36c3ecf-20230207", 71.5)
_CID = bottom_up(
    name="cid_hrnet_w32",
    paper="doi 10.1109/CVPR52688.2022.01078",
    summary="heatmaps for each person, from the features at their centre (CID): HRNet-W32",
    build=build,
    form=People(),
    classes_key="head.gfd_module.heatmap_conv.weight",
    published=_W32,
    mapping={**OLD_HEAD, **OLD_NAMES},
)


def _flipped(on: str, backbone: Callable[[], nn.Module], published: Published) -> Variant:
    return _CID.derive(
        f"cid_hrnet_{on}_flip",
        f"CID, also on the mirrored image: HRNet-{on.upper()}",
        published,
        build={"backbone": backbone, "flip": True},
    )


VARIANTS = (
    _CID,
    _flipped("w32", W32, _W32),
    _CID.derive("cid_hrnet_w48", "CID: HRNet-W48", _W48, build={"backbone": W48}),
    _flipped("w48", W48, _W48),
    _CID.derive(
        "cid_test", "tiny CID for tests", build={"backbone": TINY, "channels": 8, "flip": True}, input=TEST_WARP
    ),
)
ALIASES = {"cid": "cid_hrnet_w32"}
