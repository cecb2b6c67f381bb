"""HRNetV2's pyramid (arXiv 1904.04514) in FCOS."""

from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from ..backbones.hrnet import HRNet
from ..detector import DenseDetector
from ..heads.fcos import FCOSHead
from ..necks.hrfpn import HRFPN
from ..variant import BGR, Variant, openmmlab
from . import fcos

_STRIDES = (8, 16, 32, 64, 128)


def build(classes: int, *, width: int = 32, channels: int = 256, stacked: int = 4, **backbone: Any) -> nn.Module:
    """An FCOS on an HRNet of this width."""
    trunk = HRNet(width, outputs=4, **backbone)
    neck = HRFPN(trunk.channels, channels, len(_STRIDES), stride=2)
    head = FCOSHead(classes, channels, strides=_STRIDES, stacked=stacked)
    return DenseDetector(trunk, neck, head, levels=(0, 1, 2, 3))


_published = partial(openmmlab, "hrnet")
_FORM = replace(fcos.FCOS.form, floors=(4, 8, 16, 32, 64))
_FCOS = replace(fcos.FCOS, paper="arXiv 1904.04514", build=build, input=BGR, form=_FORM)
# Width, schedule, what ends the checkpoint's name, and AP.
_CHECKPOINTS = (
    (18, "4x4_1x", "_20201212_100710-4ad151de", 35.3),
    (18, "4x4_2x", "_20201212_101110-5c575fa5", 38.2),
    (18, "mstrain_640-800_4x4_2x", "_20201212_111651-441e9d9f", 38.3),
    (32, "4x4_1x", "_20201211_134730-cb8055c0", 39.5),
    (32, "4x4_2x", "_20201212_112133-77b6b9bb", 40.8),
    (32, "mstrain_640-800_4x4_2x", "_20201212_090846-b6f2b49f", 41.9),
    (40, "mstrain_640-800_4x4_2x", "_20201212_124752-f22d2ce5", 42.7),
)


def _variant(width: int, schedule: str, suffix: str, ap: float) -> Variant:
    published = _published(f"fcos_hrnetv2p_w{width}_gn-head_{schedule}_coco", suffix, ap)
    trained = schedule.rpartition("_")[2] + ("_ms" if "mstrain" in schedule else "")
    summary = f"FCOS on HRNetV2p-W{width}, {trained.replace('_ms', ' at several sizes')} schedule"
    return _FCOS.derive(f"fcos_hrnet_w{width}_{trained}", summary, published, build={"width": width})


VARIANTS = (
    *(_variant(*row) for row in _CHECKPOINTS),
    _FCOS.derive(
        "fcos_hrnet_test",
        "tiny HRNet in FCOS for tests",
        build={"width": 4, "channels": 32, "stacked": 1, "modules": (1, 1, 1), "blocks": 1, "stem": 8},
    ),
)
ALIASES = {"fcos_hrnet": "fcos_hrnet_w32_2x_ms"}
