"""RTMDet (arXiv 2212.07784), and the person detectors published with RTMPose (arXiv 2303.07399)."""

from functools import partial
from typing import Any

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..backbones.csp import CSPNeXt
from ..blocks import ConvAct
from ..csp import CSPLayer, CSPNeXtBlock, Separable
from ..detector import DenseDetector
from ..heads.rtmdet import RTMDetHead
from ..labels import COCO
from ..necks.pan import ConcatPAN
from ..variant import BGR, Published, Variant, in_grey_square

_STRIDES = (8, 16, 32)


def build(classes: int, *, deep: float, wide: float, depthwise: bool = False, exponential: bool = True) -> nn.Module:
    """An RTMDet; `deep` and `wide` are factors of the large network's blocks and channels."""
    conv = Separable if depthwise else ConvAct
    trunk = CSPNeXt(deep=deep, wide=wide, depthwise=depthwise)
    channels, block = trunk.channels[0], partial(CSPNeXtBlock, shortcut=False, conv=conv)
    merge = partial(CSPLayer, blocks=max(round(3 * deep), 1), block=block)
    neck = ConcatPAN(trunk.channels, channels, merge=merge, down=conv, out=partial(conv, kernel=3))
    head = RTMDetHead(classes, channels, strides=_STRIDES, exponential=exponential, conv=conv)
    return DenseDetector(trunk, neck, head, levels=(0, 1, 2))


_SIZES: dict[str, dict[str, Any]] = {
    "nano": {"deep": 0.33, "wide": 0.25, "depthwise": True, "exponential": False},
    "tiny": {"deep": 0.167, "wide": 0.375, "exponential": False},
    "s": {"deep": 0.33, "wide": 0.5, "exponential": False},
    "m": {"deep": 0.67, "wide": 0.75},
    "l": {"deep": 1.0, "wide": 1.0},
    "x": {"deep": 1.33, "wide": 1.25},
}


def _published(size: str, suffix: str, ap: float) -> Published:
    file = f"rtmdet_{size}_8xb32-300e_coco"
    return Published(f"https://download.openmmlab.com/mmdetection/v3.0/rtmdet/{file}/{file}{suffix}.pth", ap)


_RTMDET = Variant(
    name="rtmdet_m",
    paper="arXiv 2212.07784",
    summary="RTMDet-m: large kernels, a box per point, soft labels",
    build=partial(build, **_SIZES["m"]),
    form=Dense(_STRIDES, top_k=30_000, clip="canvas"),
    classes_key="bbox_head.rtm_cls.0.weight",
    input=in_grey_square(BGR, 640),
    suppress=Suppress(iou=0.65),
    labels=COCO,
    published=_published("m", "_20220719_112220-229f527c", 49.1),
)


def _rtmdet(size: str, suffix: str, ap: float) -> Variant:
    return _RTMDET.derive(f"rtmdet_{size}", f"RTMDet-{size}", _published(size, suffix, ap), build=_SIZES[size])


def _person(size: str, canvas: int, file: str, ap: float) -> Variant:
    """A person detector. Its AP is that of COCO's class person."""
    url = f"https://download.openmmlab.com/mmpose/v1/projects/rtmpose/rtmdet_{size}_8xb32-100e_coco-obj365-person-{file}.pth"
    return _RTMDET.derive(
        f"rtmdet_{size}_person",
        f"RTMDet-{size}, people alone",
        Published(url, ap),
        build=_SIZES[size],
        form=Dense(_STRIDES, clip="canvas"),
        input=in_grey_square(BGR, canvas),
        suppress=Suppress(iou=0.6),
        labels=("person",),
    )


VARIANTS = (
    _RTMDET,
    _rtmdet("tiny", "_20220902_112414-78e30dcc", 40.9),
    _rtmdet("s", "_20220905_161602-387a891e", 44.5),
    _rtmdet("l", "_20220719_112030-5a0be7c4", 51.3),
    _rtmdet("x", "_20220715_230555-cc79b9ae", 52.6),
    _person("nano", 320, "05d8511e", 40.3),
    _person("m", 640, "235e8209", 62.5),
    _RTMDET.derive(
        "rtmdet_test",
        "tiny RTMDet for tests",
        build={"deep": 0.167, "wide": 0.125},
        input=in_grey_square(BGR, 128),
    ),
)
ALIASES = {"rtmdet": "rtmdet_m"}
