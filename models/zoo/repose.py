"""RePose ("RePose: Learning Deep Kinematic Priors for Fast Human Pose Estimation", arXiv 2002.03933)."""

from torch import nn

from ...deploy.forms import Heatmaps
from ..backbones.resnet import R18, TINY, Backbone
from ..heads.repose import ReposeHead
from ..pose import TEST_CROP, PoseNetwork, top_down


def build(keypoints: int, *, backbone: Backbone = R18, width: int = 16) -> nn.Module:
    """A ResNet and features of each keypoint, updated along the body."""
    trunk = backbone()
    return PoseNetwork(trunk, ReposeHead(keypoints, trunk.channels, width))


_REPOSE = top_down(
    name="repose_r18",
    paper="arXiv 2002.03933",
    summary="features of keypoints, updated along the body's tree: ResNet-18",
    build=build,
    form=Heatmaps("quarter", shift=1.0),
    classes_key="head.final_layer.weight",
)

VARIANTS = (
    _REPOSE,
    _REPOSE.derive("repose_test", "tiny RePose for tests", build={"backbone": TINY, "width": 4}, input=TEST_CROP),
)
ALIASES = {"repose": "repose_r18"}
