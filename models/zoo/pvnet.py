"""PVNet: Pixel-wise voting network for 6DoF pose estimation (arXiv 1812.11788), and DPVL, which trains it otherwise:
6DoF object pose estimation via differentiable proxy voting loss (arXiv 2002.03923)."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...deploy.contract.solid import Solid
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Vectors
from ...deploy.inputs.resize import Pad, Resize
from ..backbones.resnet import R18, TINY, Backbone, atrous
from ..variant import RGB, Published, Variant

_STRIDE = 8


class VectorNetwork(nn.Module):
    """Image (n, 3, h, w) to `classes` (n, 2, h, w), background and object, and `vectors` (n, 2k, h, w) in fp32.

    h and w are multiples of 8. A ResNet at stride 8, and a decoder that takes in its finer maps and the image (figure
    2). `widths` are the channels of the decoder at strides 8, 8, 4, 2 and 1.
    """

    def __init__(self, keypoints: int, backbone: Backbone, widths: tuple[int, int, int, int, int]) -> None:
        super().__init__()
        self.backbone = atrous(backbone(), _STRIDE, early=True)
        stem = self.backbone.conv1.out_channels
        level4, level8, _, last = self.backbone.channels
        first, at8, at4, at2, at1 = widths
        self.fc = nn.Sequential(*_layers(last, first), nn.ReLU())
        self.conv8s = _leaky(first + level8, at8)
        self.conv4s = _leaky(at8 + level4, at4)
        self.conv2s = _leaky(at4 + stem, at2)
        self.convraw = nn.Sequential(*_leaky(at2 + 3, at1), nn.Conv2d(at1, 2 + 2 * keypoints, 1))

    def levels(self, image: Tensor) -> list[Tensor]:
        """The stem at stride 2 and the four stages of the ResNet."""
        stem = torch.relu(self.backbone.bn1(self.backbone.conv1(image)))
        levels = [stem, self.backbone.layer1(self.backbone.pool(stem))]
        for stage in (self.backbone.layer2, self.backbone.layer3, self.backbone.layer4):
            levels.append(stage(levels[-1]))
        return levels

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        image = image.to(self.fc[0].weight.dtype)
        level2, level4, level8, _, last = self.levels(image)
        x = self.conv8s(torch.cat((self.fc(last), level8), 1))
        x = self.conv4s(torch.cat((_doubled(x), level4), 1))
        x = self.conv2s(torch.cat((_doubled(x), level2), 1))
        x = self.convraw(torch.cat((_doubled(x), image), 1)).float()
        return {"classes": x[:, :2], "vectors": x[:, 2:]}


def _layers(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)]


def _leaky(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(*_layers(inputs, outputs), nn.LeakyReLU(0.1))


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)


def build(
    classes: int,
    *,
    keypoints: int = 9,
    backbone: Backbone = R18,
    widths: tuple[int, int, int, int, int] = (256, 128, 64, 32, 32),
) -> nn.Module:
    return VectorNetwork(keypoints, backbone, widths)


_PVNET = Variant(
    name="pvnet_r18",
    paper="arXiv 1812.11788",
    summary="poses of one rigid object in space: eight keypoints and the centre, ResNet-18; also trained by DPVL",
    build=build,
    form=Vectors(),
    classes_key="convraw.3.bias",
    beside_classes=19,
    input=replace(RGB, place=Resize(pad=Pad(multiple=_STRIDE))),
    suppress=Suppress("none", conf=0.0),
    labels=("object",),
    published=Published(None),
    mapping={"^resnet18_8s.fc.": "fc.", "^resnet18_8s.": "backbone."},
)

VARIANTS = (
    _PVNET,
    _PVNET.derive(
        "pvnet_test",
        "tiny PVNet for tests",
        build={"backbone": TINY, "keypoints": 5, "widths": (16, 16, 8, 8, 8)},
        beside_classes=11,
        form=Vectors(
            Solid(
                (-40.0, -30.0, -20.0),
                (40.0, 30.0, 20.0),
                ((-40.0, -30.0, 20.0), (40.0, 30.0, 20.0), (40.0, -30.0, -20.0), (-40.0, 30.0, -20.0), (0.0, 0.0, 0.0)),
            ),
            hypotheses=64,
        ),
    ),
)
ALIASES = {"pvnet": "pvnet_r18", "dpvl": "pvnet_r18"}
