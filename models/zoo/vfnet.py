"""VarifocalNet and VFNet-X (arXiv 2008.13367)."""

from collections.abc import Callable
from functools import partial

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..backbones.res2net import R2_101, TINY_RES2NET
from ..backbones.resnet import DCN_V2_C3_C5, R50, R101, TINY_BOTTLENECKS, X101_32X4D, X101_64X4D, Backbone
from ..detector import DenseDetector
from ..heads.vfnet import VFNetHead
from ..labels import COCO
from ..necks.fpn import FPN
from ..variant import Published, Variant, openmmlab

_STRIDES = (8, 16, 32, 64, 128)


def build(
    classes: int,
    *,
    backbone: Callable[..., nn.Module] = R50,
    channels: int = 256,
    stacked: int = 3,
    deformable: bool = False,
    extended: bool = False,
) -> nn.Module:
    """A VarifocalNet. `deformable` applies to the backbone's last three stages and the last layer of both towers.

    The authors' `extended` version (VFNet-X) has group norms and a bottom-up path in its pyramid.
    """
    trunk = backbone(deformable=DCN_V2_C3_C5) if deformable else backbone()
    pyramid = partial(FPN, norm="gn", bottom_up="deformable") if extended else FPN
    neck = pyramid(trunk.channels[1:], channels, len(_STRIDES), relu=True)
    return DenseDetector(
        trunk, neck, VFNetHead(classes, channels, stacked=stacked, strides=_STRIDES, deformable=deformable)
    )


_published = partial(openmmlab, "vfnet")
_2X, _MDCONV = "_fpn_mstrain_2x_coco", "_fpn_mdconv_c3-c5_mstrain_2x_coco"

_VFNET = Variant(
    name="vfnet_r50",
    paper="arXiv 2008.13367",
    summary="IoU-aware class scores; boxes refined by samples on a star",
    build=build,
    form=Dense(_STRIDES),
    classes_key="bbox_head.vfnet_cls.weight",
    labels=COCO,
    published=_published("vfnet_r50_fpn_1x_coco", "_20201027-38db6f58", 41.6),
)


def _deformable(name: str, on: str, backbone: Backbone, digest: str, ap: float) -> Variant:
    published = _published(f"vfnet_{name}{_MDCONV}", f"_20201027pth-{digest}", ap)
    summary = f"VarifocalNet on {on} with modulated deformable stages C3 to C5"
    return _VFNET.derive(f"vfnet_{name}_mdconv", summary, published, build={"backbone": backbone, "deformable": True})


VARIANTS = (
    _VFNET,
    _VFNET.derive(
        "vfnet_r50_2x",
        "VarifocalNet on ResNet-50, trained longer",
        _published(f"vfnet_r50{_2X}", "_20201027-7cc75bd2", 44.8),
        build={},
    ),
    _VFNET.derive(
        "vfnet_r101",
        "VarifocalNet on ResNet-101",
        _published("vfnet_r101_fpn_1x_coco", "_20201027pth-c831ece7", 43.6),
        build={"backbone": R101},
    ),
    _VFNET.derive(
        "vfnet_r101_2x",
        "VarifocalNet on ResNet-101, trained longer",
        _published(f"vfnet_r101{_2X}", "_20201027pth-4a5d53f1", 46.7),
        build={"backbone": R101},
    ),
    _deformable("r50", "ResNet-50", R50, "6879c318", 48.0),
    _deformable("r101", "ResNet-101", R101, "7729adb5", 49.2),
    _deformable("x101_32x4d", "ResNeXt-101 32x4d", X101_32X4D, "d300a6fc", 50.0),
    _deformable("x101_64x4d", "ResNeXt-101 64x4d", X101_64X4D, "b5f6da5e", 50.8),
    _VFNET.derive(
        "vfnetx_r2_101_mdconv",
        "VFNet-X: on deformable Res2Net-101, wider, with soft NMS",
        Published(None, 53.4),  # the authors keep it on a drive
        build={"backbone": R2_101, "channels": 384, "stacked": 4, "deformable": True, "extended": True},
        suppress=Suppress("linear", iou=0.65),
    ),
    _VFNET.derive(
        "vfnetx_test",
        "tiny VFNet-X for tests",
        build={"backbone": TINY_RES2NET, "channels": 32, "stacked": 1, "deformable": True, "extended": True},
        suppress=Suppress("linear", iou=0.65),
    ),
    _VFNET.derive(
        "vfnet_test",
        "tiny deformable VarifocalNet for tests",
        build={"backbone": TINY_BOTTLENECKS, "channels": 32, "stacked": 1, "deformable": True},
    ),
)
ALIASES = {"vfnet": "vfnet_r50"}
