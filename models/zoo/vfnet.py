"""VarifocalNet (arXiv 2008.13367)."""

from dataclasses import replace
from functools import partial

from torch import nn

from ...deploy.card import DenseDecode
from ..backbones.resnet import ResNet
from ..detector import DenseDetector
from ..heads.vfnet import VFNetHead
from ..labels import COCO
from ..necks.fpn import FPN
from ..variant import Published, Variant

_OPENMMLAB = "https://download.openmmlab.com/mmdetection/v2.0/vfnet"
_STRIDES = (8, 16, 32, 64, 128)


def build(
    classes: int,
    *,
    depth: int,
    width: int = 64,
    groups: tuple[int, int] | None = None,
    channels: int = 256,
    stacked: int = 3,
    deformable: bool = False,
) -> nn.Module:
    """A VarifocalNet; `deformable` makes stages C3 to C5 and the last layer of both towers modulated deformable."""
    form = "v2" if deformable else None
    backbone = ResNet(depth, width=width, groups=groups, deformable=(None, form, form, form))
    neck = FPN(backbone.channels[1:], channels, len(_STRIDES), relu=True)
    head = VFNetHead(classes, channels, stacked=stacked, strides=_STRIDES, deformable=deformable)
    return DenseDetector(backbone, neck, head)


def _published(name: str, on: str, network: partial[nn.Module], file: str, ap: float) -> Variant:
    """One of OpenMMLab's; `file` is its checkpoint without the ending, in a folder named as far as the date."""
    return Variant(
        name=name,
        paper="arXiv 2008.13367",
        summary=f"IoU-aware class scores, boxes refined from star-shaped samples; {on}",
        build=network,
        decode=DenseDecode(_STRIDES),
        classes_key="bbox_head.vfnet_cls.weight",
        labels=COCO,
        published=Published(f"{_OPENMMLAB}/{file.rpartition('_')[0]}/{file}.pth", ap),
    )


_R50, _R101 = partial(build, depth=50), partial(build, depth=101)
_1X, _2X = "fpn_1x_coco_20201027", "fpn_mstrain_2x_coco_20201027"
_MDCONV = "fpn_mdconv_c3-c5_mstrain_2x_coco_20201027pth"

_VFNET = _published("vfnet_r50", "ResNet-50", _R50, f"vfnet_r50_{_1X}-38db6f58", 41.6)
VARIANTS = (
    _VFNET,
    _published("vfnet_r50_2x", "ResNet-50, trained longer", _R50, f"vfnet_r50_{_2X}-7cc75bd2", 44.8),
    _published(
        "vfnet_r50_mdconv",
        "ResNet-50, modulated deformable",
        partial(_R50, deformable=True),
        f"vfnet_r50_{_MDCONV}-6879c318",
        48.0,
    ),
    _published("vfnet_r101", "ResNet-101", _R101, f"vfnet_r101_{_1X}pth-c831ece7", 43.6),
    _published("vfnet_r101_2x", "ResNet-101, trained longer", _R101, f"vfnet_r101_{_2X}pth-4a5d53f1", 46.7),
    _published(
        "vfnet_r101_mdconv",
        "ResNet-101, modulated deformable",
        partial(_R101, deformable=True),
        f"vfnet_r101_{_MDCONV}-7729adb5",
        49.2,
    ),
    _published(
        "vfnet_x101_32x4d_mdconv",
        "ResNeXt-101 32x4d, modulated deformable",
        partial(_R101, groups=(32, 4), deformable=True),
        f"vfnet_x101_32x4d_{_MDCONV}-d300a6fc",
        50.0,
    ),
    _published(
        "vfnet_x101_64x4d_mdconv",
        "ResNeXt-101 64x4d, modulated deformable",
        partial(_R101, groups=(64, 4), deformable=True),
        f"vfnet_x101_64x4d_{_MDCONV}-b5f6da5e",
        50.8,
    ),
    replace(
        _VFNET,
        name="vfnet_test",
        summary="tiny VarifocalNet for tests",
        build=partial(build, depth=10, width=8, channels=32, stacked=1),
        published=None,
    ),
)
ALIASES = {"vfnet": "vfnet_r50"}
