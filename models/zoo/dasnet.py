"""DASNet: Dual attentive fully convolutional siamese networks for change detection (arXiv 2003.03608)."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Change
from ...deploy.inputs.network_inputs import ImageInput
from ..backbones.resnet import R50, TINY_BOTTLENECKS, Backbone, atrous
from ..heads.danet import DANetHead
from ..variant import AS_IS_BGR, Published, Variant, stretched

_STRIDE, _SIDE = 8, 256
_EPS = 1e-6


class SiameseNetwork(nn.Module):
    """Two images (n, 3, h, w) of one place to the `distance` (n, 1, h, w) of their unit features, 0..2."""

    def __init__(self, backbone: Backbone, channels: int) -> None:
        super().__init__()
        self.backbone = atrous(backbone(), _STRIDE)
        self.head = DANetHead(self.backbone.channels[-1], channels)

    def features(self, images: Tensor) -> Tensor:
        """Unit features (n, channels, h / 8, w / 8) in fp32."""
        x = self.backbone(images.to(next(self.backbone.parameters()).dtype))[-1]
        return F.normalize(self.head(x).float())

    def forward(self, image: Tensor, other: Tensor) -> dict[str, Tensor]:
        both = self.features(torch.cat((image, other))).unflatten(0, (2, -1))
        distance = (both[0] - both[1] + _EPS).square().sum(1, keepdim=True).sqrt()
        return {"distance": F.interpolate(distance, image.shape[2:], mode="bilinear", align_corners=True)}


def build(classes: int, *, backbone: Backbone = R50, channels: int = 512) -> nn.Module:
    return SiameseNetwork(backbone, channels)


def _inputs(before: tuple[float, float, float], after: tuple[float, float, float]) -> tuple[ImageInput, ImageInput]:
    """The two images, each without the mean colour of its date."""
    first = stretched(replace(AS_IS_BGR, mean=before), _SIDE, _SIDE, multiple=_STRIDE)
    return first, replace(first, mean=after, second=True, name="against")


_CDD = _inputs((87.72, 100.2, 90.43), (120.24, 127.93, 121.18))
_BCDD = _inputs((98.62, 113.27, 123.59), (117.38, 123.09, 123.2))
_DASNET = Variant(
    name="dasnet_r50",
    paper="arXiv 2003.03608",
    summary="changes between two pictures of one place, trained on CDD: ResNet-50",
    build=build,
    form=Change(),
    classes_key="head.sc.gamma",
    input=_CDD[0],
    other_inputs=_CDD[1:],
    suppress=Suppress("none", conf=0.5, max_det=1000),
    labels=("change",),
    published=Published(None),
    mapping={"^CNN.pretrained.": "backbone.", "^CNN.head.conv8.1.": "head.conv8.", "^CNN.head.": "head."},
    unused=("pretrained.fc.", "head.conv6.", "head.conv7."),
)

VARIANTS = (
    _DASNET,
    _DASNET.derive(
        "dasnet_r50_bcdd",
        "changes between two pictures of one place, trained on BCDD: ResNet-50",
        Published(None),
        build={},
        input=_BCDD[0],
        other_inputs=_BCDD[1:],
    ),
    _DASNET.derive(
        "dasnet_test",
        "tiny DASNet for tests",
        build={"backbone": TINY_BOTTLENECKS, "channels": 32},
        input=_CDD[0].placed(size=(64, 96)),
        other_inputs=(_CDD[1].placed(size=(64, 96)),),
    ),
)
ALIASES = {"dasnet": "dasnet_r50"}
