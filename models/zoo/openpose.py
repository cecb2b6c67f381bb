"""OpenPose ("OpenPose: Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", arXiv 1812.08008)."""

from dataclasses import replace

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Affinity
from ...deploy.inputs.network_inputs import ImageInput
from ...deploy.inputs.resize import Pad, Resize
from ..backbones.vgg import plain_layers
from ..heads.affinity import AffinityHead, DenseAffinityHead
from ..pose import PoseNetwork
from ..skeletons import OPENPOSE_18, OPENPOSE_25
from ..variant import Published, Variant

_ORDER = (6, 10, 7, 8, 11, 12, 0, 1, 2, 3, 4, 5, 14, 15, 17, 16, 18, 9, 13)
"""The field of each link of the skeleton: the grouping starts at the neck, and so do the links."""


def build(keypoints: int, *, narrow: int = 1, stages: int = 6) -> nn.Module:
    """The first ten layers of VGG-19, two more, and the stages of both branches."""
    widths = [64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 256, 128]
    trunk = plain_layers([width // narrow for width in widths])
    head = AffinityHead(keypoints, _ORDER, 128 // narrow, stages=stages, width=128 // narrow)
    return PoseNetwork(trunk, head)


_FIELDS_25 = (0, 7, 11, 8, 9, 12, 13, 3, 1, 2, 4, 5, 6, 15, 16, 18, 17, 19, 20, 21, 22, 23, 24, 25, 10, 14)
"""The field of each link of the 25 keypoints, by OpenPose's table."""


def build_25(keypoints: int, *, narrow: int = 1) -> nn.Module:
    """The same layers, the last three with a PReLU, and dense stages, first of fields and then of heatmaps."""
    widths = [width // narrow for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 256, 128)]
    trunk = plain_layers(widths)
    for i, width in zip((22, 24, 26), widths[-3:], strict=True):
        trunk[i] = nn.PReLU(width)
    return PoseNetwork(trunk, DenseAffinityHead(keypoints, _FIELDS_25, widths[-1], width=128 // narrow))


# A long side of more than 1312 px makes the short side shorter than 368 px.
_PLACE = Resize((368, 1312), "edges", pad=Pad(multiple=8, value=0.0), inverse="factor")
_INPUT = ImageInput(_PLACE, "bgr", (128.0,) * 3, (256.0,) * 3)

_OPENPOSE = Variant(
    name="openpose_coco18_vgg",
    paper="arXiv 1812.08008",
    summary="part affinity fields that link keypoints: VGG-19",
    build=build,
    input=_INPUT,
    form=Affinity(OPENPOSE_18.links, starts=18),
    classes_key="head.model1_2.8.weight",
    beside_classes=1,
    suppress=Suppress("none", conf=0.0),
    labels=("person",),
    skeleton=OPENPOSE_18,
    published=Published(None, 65.3),  # a port's, on a web drive
    mapping={"^model0.": "backbone.", "^model": "head.model"},
)

_OPENPOSE_25 = replace(
    _OPENPOSE,
    name="openpose_body25",
    summary="part affinity fields that link 25 keypoints, also of the feet: dense stages",
    build=build_25,
    form=Affinity(OPENPOSE_25.links, starts=24),  # the links from ears to shoulders start nobody
    classes_key="head.l1_stages.0.Mconv7.weight",
    skeleton=OPENPOSE_25,
    published=Published(None),  # by its authors, for another framework
    mapping={
        "^feature_extractor.": "backbone.",
        "^l1_stages.": "head.l1_stages.",
        "^l2_stages.": "head.l2_stages.",
    },
)

VARIANTS = (
    _OPENPOSE,
    _OPENPOSE_25,
    _OPENPOSE.derive("openpose_test", "tiny OpenPose for tests", build={"narrow": 8, "stages": 2}),
    _OPENPOSE_25.derive("openpose25_test", "tiny OpenPose of 25 keypoints for tests", build={"narrow": 8}),
)
ALIASES = {"openpose": "openpose_coco18_vgg"}
