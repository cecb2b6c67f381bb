"""KPNet: Towards minimal face detector (arXiv 2003.07543). Its authors have published no code and no weights."""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import ScaledPoints
from ...deploy.inputs.resize import Pad, Resize
from ..backbones.resnet import BasicBlock
from ..blocks import ConvNorm
from ..skeletons import FACE
from ..variant import RGB, Variant

BINS = 60
"""Ten to each doubling of a face's side, from 32 px on."""


class KPNet(nn.Module):
    """Image (n, 3, h, w) to `scales` (n, 60, h / 2, w / 2), scores 0..1, and `landmarks` (n, k, h / 2, w / 2), logits.

    h and w are multiples of 8. Two stages of two residual blocks, and a decoder that takes in the finer maps. The
    paper leaves its layers open; these have its number of parameters, about a million.
    """

    def __init__(self, keypoints: int, width: int) -> None:
        super().__init__()
        self.stem = ConvNorm(3, width, 3, stride=2, norm="bn")
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.stage1 = _stage(width, width, 1)
        self.stage2 = _stage(width, 2 * width, 2)
        self.merge1 = ConvNorm(3 * width, 2 * width, 3, norm="bn")
        self.merge2 = ConvNorm(3 * width, 2 * width, 3, norm="bn")
        self.landmarks, self.scales = nn.Conv2d(2 * width, keypoints, 1), nn.Conv2d(2 * width, BINS, 1)
        nn.init.constant_(self.scales.bias, -math.log(99))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        at2 = self.stem(image.to(self.landmarks.weight.dtype))
        at4 = self.stage1(self.pool(at2))
        x = self.merge1(torch.cat((_enlarged(self.stage2(at4), at4), at4), 1))
        x = self.merge2(torch.cat((_enlarged(x, at2), at2), 1))
        return {"scales": self.scales(x).float().sigmoid(), "landmarks": self.landmarks(x).float()}


def _stage(before: int, after: int, stride: int) -> nn.Sequential:
    blocks = ((before, stride), (after, 1))
    return nn.Sequential(*(BasicBlock(width, after, step, "pytorch", (1, after), False) for width, step in blocks))


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=True)


def build(classes: int, *, keypoints: int = 5, width: int = 64) -> nn.Module:
    return KPNet(keypoints, width)


_KPNET = Variant(
    name="kpnet",
    paper="arXiv 2003.07543",
    summary="faces with five points as the means of maps, and square boxes of 60 sizes",
    build=build,
    form=ScaledPoints(),
    classes_key="scales.bias",
    beside_classes=BINS - 1,
    input=replace(RGB, place=Resize(pad=Pad(multiple=8))),
    fusion=Fusion(1.0, 1.0),
    suppress=Suppress(conf=0.5, iou=0.4),
    labels=("face",),
    skeleton=FACE,
)

VARIANTS = (_KPNET, _KPNET.derive("kpnet_test", "tiny KPNet for tests", build={"width": 8}))
ALIASES: dict[str, str] = {}
