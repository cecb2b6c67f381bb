"""CPN ("Cascaded Pyramid Network for Multi-Person Pose Estimation", arXiv 1711.07319)."""

from dataclasses import replace

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Heatmaps
from ..backbones.resnet import R50, R101, Backbone
from ..heads.cpn import CPNHead
from ..pose import CROP, PoseNetwork, top_down
from ..variant import Published


def build(keypoints: int, *, backbone: Backbone = R50) -> nn.Module:
    """A ResNet, a pyramid and its refinement."""
    trunk = backbone()
    return PoseNetwork(trunk, CPNHead(keypoints, trunk.channels))


_CPN = top_down(
    name="cpn50",
    paper="arXiv 1711.07319",
    summary="a pyramid and its refinement: ResNet-50",
    build=build,
    form=Heatmaps("second_peak", blur=21, scale=255.0),
    classes_key="head.final_predict.1.weight",
    suppress=Suppress("none", conf=0.0),
    published=Published(None, 69.2),
    input=replace(CROP.placed(enlarge=(1.2, 1.3)), mean=(122.7717, 115.9465, 102.9801), std=(255.0, 255.0, 255.0)),
    mapping={
        "^resnet.": "backbone.",
        "^global_net.": "head.",
        "^refine_net.": "head.",
    },
    unused=("global_net.predict.",),
)
_LARGE = {"input": _CPN.input.placed(size=(384, 288))}

VARIANTS = (
    _CPN,
    _CPN.derive(
        "cpn50_384",
        "a pyramid and its refinement: ResNet-50, crops of 384x288",
        Published(None, 72.2),
        build={},
        **_LARGE,
    ),
    _CPN.derive(
        "cpn101_384",
        "a pyramid and its refinement: ResNet-101, crops of 384x288",
        Published(None, 72.3),
        build={"backbone": R101},
        **_LARGE,
    ),
)
ALIASES = {"cpn": "cpn50"}
