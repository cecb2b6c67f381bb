"""PifPaf ("PifPaf: Composite Fields for Human Pose Estimation", arXiv 1903.06593), as in OpenPifPaf (arXiv
2103.02440)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Composite
from ...deploy.inputs.resize import Pad
from ..backbones.resnet import ResNet
from ..backbones.shufflenetv2 import ShuffleBlock
from ..blocks import Norm, renorm
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


class _ShuffleNetV2K(nn.Module):
    """A ShuffleNet V2 (arXiv 1807.11164) with 5x5 depthwise convolutions and without pooling: a level at stride 16.

    `widths` are the channels of the stem, of the three stages and of the last convolution, `blocks` their lengths.
    """

    def __init__(self, blocks: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        first, *stages, last = widths
        self.input_block = nn.Sequential(
            nn.Conv2d(3, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first, 1e-3), nn.ReLU()
        )
        for i, (count, width) in enumerate(zip(blocks, stages, strict=True), 2):
            inputs = [(first, 2), *[(width, 1)] * (count - 1)]
            made = (ShuffleBlock(channels, width, stride, kernel=5) for channels, stride in inputs)
            setattr(self, f"stage{i}", renorm(nn.Sequential(*made), Norm("bn", 1e-3)))
            first = width
        self.conv5 = nn.Sequential(nn.Conv2d(first, last, 1, bias=False), nn.BatchNorm2d(last, 1e-3), nn.ReLU())
        self.channels = (last,)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.input_block(image)
        for stage in (self.stage2, self.stage3, self.stage4, self.conv5):
            x = stage(x)
        return [x]


def build(keypoints: int, *, backbone: Callable[[], Any] = _R50) -> nn.Module:
    """A backbone at stride 16 and the fields of COCO's keypoints and links."""
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


def _shufflenet(name: str, size: str, blocks: Sequence[int], widths: Sequence[int]) -> Variant:
    return _PIFPAF.derive(
        f"pifpaf_shufflenetv2{name}",
        f"composite fields that link keypoints: {size} ShuffleNet V2 with 5x5 convolutions",
        build={"backbone": partial(_ShuffleNetV2K, blocks, widths)},
        mapping={"^base_net.": "backbone.", "^head_nets.": "head.head_nets."},
    )


VARIANTS = (
    _PIFPAF,
    _shufflenet("k16", "a light", (4, 8, 4), (24, 348, 696, 1392, 1392)),
    _shufflenet("k30", "a wide", (8, 16, 6), (32, 512, 1024, 2048, 2048)),
    _PIFPAF.derive(
        "pifpaf_test",
        "tiny PifPaf for tests",
        build={"backbone": partial(_Unpooled, 10, width=8, norm_eps=1e-3)},
        input=_PIFPAF.input.placed(size=(161, 161)),
    ),
)
ALIASES = {"pifpaf": "pifpaf_resnet50"}
