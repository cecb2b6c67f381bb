"""G-RMI's keypoint network ("Towards Accurate Multi-person Pose Estimation in the Wild", arXiv 1701.01779)."""

from torch import nn

from ...deploy.forms import Votes
from ..backbones.resnet import R101, TINY_BOTTLENECKS, Backbone, atrous
from ..heads.heatmap import VotingHead
from ..pose import CROP, PoseNetwork, top_down


def build(keypoints: int, *, backbone: Backbone = R101) -> nn.Module:
    """A ResNet at stride 8, and one convolution."""
    trunk = atrous(backbone(), 8)
    return PoseNetwork(trunk, VotingHead(keypoints, trunk.channels[-1], ()))


_GRMI = top_down(
    name="grmi_r101",
    paper="arXiv 1701.01779",
    summary="every pixel near a keypoint votes for its place (G-RMI): ResNet-101",
    build=build,
    form=Votes(radius=25.0, flip=False),
    classes_key="head.final_layer.weight",
    input=CROP.placed(size=(353, 257)),
)

VARIANTS = (
    _GRMI,
    _GRMI.derive(
        "grmi_test",
        "tiny G-RMI for tests",
        build={"backbone": TINY_BOTTLENECKS},
        form=Votes(radius=5.0, flip=False),
        input=CROP.placed(size=(97, 65)),
    ),
)
ALIASES = {"grmi": "grmi_r101"}
