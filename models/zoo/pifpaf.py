"""PifPaf ("PifPaf: Composite Fields for Human Pose Estimation", arXiv 1903.06593), as in OpenPifPaf (arXiv
2103.02440)."""

from functools import partial

import torch
from torch import Tensor, nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Composite
from ...deploy.inputs.resize import Pad
from ..backbones.resnet import ResNet
from ..heads.composite import CompositeHead
from ..pose import PoseNetwork
from ..skeletons import COCO_PERSON
from ..variant import RGB, Variant


class _Unpooled(ResNet):
    """A ResNet without the pooling of its stem, so that strides are half of the usual ones."""

    def forward(self, image: Tensor) -> list[Tensor]:
        x = torch.relu(self.bn1(self.conv1(image)))
        levels: list[Tensor] = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            levels.append(x)
        return levels


_R50 = partial(_Unpooled, 50, norm_eps=1e-3)


def build(keypoints: int, *, backbone: partial[ResNet] = _R50) -> nn.Module:
    """A ResNet at stride 16 and the fields of COCO's keypoints and links."""
    trunk = backbone()
    return PoseNetwork(trunk, CompositeHead(keypoints, len(COCO_PERSON.links), trunk.channels[-1]))


# The authors pad to 16 k + 1 px, which gives as many cells as the next multiple of 16.
_INPUT = RGB.placed(size=(641, 641), by="sides", pad=Pad(multiple=16), inverse="factor")

_PIFPAF = Variant(
    name="pifpaf_resnet50",
    paper="arXiv 1903.06593",
    summary="composite fields that link keypoints: ResNet-50",
    build=build,
    input=_INPUT,
    form=Composite(COCO_PERSON.links),
    classes_key="head.head_nets.0.conv.weight",
    suppress=Suppress("none", conf=0.0),
    labels=("person",),
    skeleton=COCO_PERSON,
    mapping={
        "^base_net.input_block.0.": "backbone.conv1.",
        "^base_net.input_block.1.": "backbone.bn1.",
        **{f"^base_net.block{i + 1}.": f"backbone.layer{i}." for i in range(1, 5)},
        "^head_nets.": "head.head_nets.",
    },
)

VARIANTS = (
    _PIFPAF,
    _PIFPAF.derive(
        "pifpaf_test",
        "tiny PifPaf for tests",
        build={"backbone": partial(_Unpooled, 10, width=8, norm_eps=1e-3)},
        input=_PIFPAF.input.placed(size=(161, 161)),
    ),
)
ALIASES = {"pifpaf": "pifpaf_resnet50"}
