"""NSRM ("Nonparametric Structure Regularization Machine for 2D Hand Pose Estimation", arXiv 2001.08869)."""

from torch import nn

from ...deploy.forms import Heatmaps
from ..backbones.vgg import plain_layers
from ..heads.nsrm import StructureHead
from ..pose import CROP, TEST_CROP, PoseNetwork, top_down
from ..skeletons import HAND
from ..variant import Published


def build(keypoints: int, *, masks: int = 7, narrow: int = 1) -> nn.Module:
    """The first twelve layers of VGG-19, three more, and the stages for masks and heatmaps."""
    widths = [64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, *[512] * 6, 128]
    trunk = plain_layers([width // narrow for width in widths])
    return PoseNetwork(trunk, StructureHead(keypoints, 128 // narrow, masks=masks, width=128 // narrow))


_LAYERS = {
    **{f"^vgg19.conv5_{i}.": f"backbone.{25 + 2 * i}." for i in (1, 2, 3)},
    "^vgg19.backbone.": "backbone.",
    **{f"^stage1.stage1_{i}.": f"head.stages.0.{2 * i - 2}." for i in (1, 2)},
    **{f"^stage{n}.Mconv{i}.": f"head.stages.{n - 1}.{2 * i - 2}." for n in range(2, 7) for i in range(1, 8)},
    ".conv.": ".",
}

_NSRM = top_down(
    name="nsrm_g1_6",
    paper="arXiv 2001.08869",
    summary="hands: masks of the whole hand, the palm and the fingers before heatmaps",
    build=build,
    input=CROP.placed(size=(368, 368), enlarge=(2.2, 2.2)),
    form=Heatmaps("argmax", flip=False),
    classes_key="head.stages.5.12.weight",
    labels=("hand",),
    skeleton=HAND,
    published=Published(None),  # on a web drive
    mapping=_LAYERS,
)

VARIANTS = (
    _NSRM,
    _NSRM.derive("nsrm_g1", "hands: a mask of the whole hand before heatmaps", build={"masks": 1}),
    _NSRM.derive("nsrm_test", "tiny NSRM for tests", build={"narrow": 8}, input=TEST_CROP),
)
ALIASES = {"nsrm": "nsrm_g1_6"}
