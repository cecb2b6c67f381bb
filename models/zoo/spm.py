"""SPM ("Single-Stage Multi-Person Pose Machines", arXiv 1908.09220). Its authors have published no weights."""

from collections.abc import Callable
from functools import partial

from torch import nn

from ...deploy.forms import Roots
from ..backbones.hrnet import HRNet
from ..backbones.resnet import TINY
from ..heads.spm import SPMHead
from ..pose import TEST_WARP, PoseNetwork, bottom_up

W32 = partial(HRNet, 32)


def build(keypoints: int, *, backbone: Callable[[], nn.Module] = W32) -> nn.Module:
    """The finest level of a backbone and two convolutions."""
    trunk = backbone()
    return PoseNetwork(trunk, SPMHead(keypoints, trunk.channels[0]))


_PARENTS = (-1, 0, 0, 1, 2, -1, -1, 5, 6, 7, 8, -1, -1, 11, 12, 13, 14)
"""From the centre to the nose, the shoulders and the hips, and from there along the face and the limbs (figure 3)."""

_SPM = bottom_up(
    name="spm_hrnet_w32",
    paper="arXiv 1908.09220",
    summary="displacements from the centre along the limbs (SPM): HRNet-W32",
    build=build,
    form=Roots(least_centre=0.3, parents=_PARENTS, diagonal=True, flip=True),
    classes_key="head.displacement_layer.weight",
)

VARIANTS = (_SPM, _SPM.derive("spm_test", "tiny SPM for tests", build={"backbone": TINY}, input=TEST_WARP))
ALIASES = {"spm": "spm_hrnet_w32"}
