"""Simple Pose ("Simple Pose: Rethinking and Improving a Bottom-up Approach for Multi-Person Pose Estimation",
arXiv 1911.10529)."""

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import BodyParts
from ...deploy.inputs.network_inputs import ImageInput
from ...deploy.inputs.resize import Pad, Resize
from ..heads.body_parts import BodyPartHead, Stem
from ..pose import PoseNetwork
from ..skeletons import COCO_PERSON
from ..variant import Published, Variant

_LIMBS = (
    *((1, 0), (1, 14), (1, 15), (1, 16), (1, 17), (0, 14), (0, 15), (14, 16), (15, 17)),
    *((1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((0, 2), (0, 5), (2, 8), (8, 12), (5, 11), (11, 9), (16, 2), (17, 5), (8, 11)),
)
"""Of OpenPose's 18 keypoints; a hip is also linked to the other side's knee."""

_COCO = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
"""COCO's keypoints among them; only the neck is not."""


def build(keypoints: int, *, channels: int = 256, increase: int = 128, stacks: int = 4) -> nn.Module:
    """Four hourglasses of five scales."""
    head = BodyPartHead(keypoints + 1, len(_LIMBS), channels, increase=increase, stacks=stacks)
    return PoseNetwork(Stem(channels), head)


# The height of an image is 512 px. That of images more than three times as wide is smaller.
_PLACE = Resize((512, 1536), filter="cubic", pad=Pad(multiple=64, value=128.0), inverse="factor")

_SIMPLE = Variant(
    name="simplepose_ibp",
    paper="arXiv 1911.10529",
    summary="maps of body parts that link keypoints: four stacked hourglasses",
    build=build,
    input=ImageInput(_PLACE, "bgr", (0.0,) * 3, (255.0,) * 3),
    form=BodyParts(_LIMBS, keypoints=_COCO),
    classes_key="head.outs.3.0.conv.weight",
    beside_classes=33,
    suppress=Suppress("none", conf=0.0),
    labels=("person",),
    skeleton=COCO_PERSON,
    published=Published(None, 68.5),  # on test-dev; on a web drive
    mapping={"^posenet.pre.": "backbone.", "^posenet.": "head."},
)

VARIANTS = (
    _SIMPLE,
    _SIMPLE.derive(
        "simplepose_test",
        "tiny Simple Pose for tests",
        build={"channels": 32, "increase": 8, "stacks": 2},
        input=_SIMPLE.input.placed(size=(128, 384)),
        classes_key="head.outs.1.0.conv.weight",
    ),
)
ALIASES = {"simplepose": "simplepose_ibp"}
