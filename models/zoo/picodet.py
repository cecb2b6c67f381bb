"""PP-PicoDet (arXiv 2111.00902): the networks of the paper on ESNet, those of 2022, and others on PP-LCNet (arXiv
2109.15099)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn
from torch.nn import functional as F

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ...deploy.inputs.network_inputs import ImageInput
from ..backbones.esnet import ESNet
from ..backbones.lcnet import LCBlock, LCNet
from ..blocks import ConvAct
from ..csp import CSPLayer, DarknetBlock, Separable
from ..detector import DenseDetector
from ..heads.nanodet import NanoDetHead
from ..heads.picodet import AlignedHead
from ..labels import COCO
from ..necks.pan import UniformPAN
from ..variant import RGB, Published, Variant, stretched

_STRIDES = (8, 16, 32, 64)
_BINS = 8
_LAYOUT = (
    *("text", "title", "figure", "figure_caption", "table"),
    *("table_caption", "header", "footer", "reference", "equation"),
)
_separable = partial(Separable, kernel=5, activation=F.hardswish)


def build(
    classes: int,
    *,
    wide: float = 1.0,
    ratios: Sequence[float] | None = None,
    channels: int = 128,
    stacked: int = 4,
    aligned: bool = False,
) -> nn.Module:
    """A PicoDet; `wide` is a factor of the backbone's channels.

    `ratios` are those of ESNet's blocks; without them the backbone is LCNet. With `aligned` it is one of 2022, which
    has another neck and head.
    """
    trunk = LCNet(wide=wide) if ratios is None else ESNet(ratios, wide=wide)
    block = partial(DarknetBlock, shortcut=False, conv=Separable, kernel=5, activation=F.hardswish)
    neck = UniformPAN(
        trunk.channels,
        channels,
        reduce=partial(ConvAct, kernel=1, activation=F.hardswish),
        merge=_merge if aligned else partial(CSPLayer, blocks=1, block=block, activation=F.hardswish),
        down=partial(_separable, stride=2),
    )
    head = AlignedHead if aligned else NanoDetHead
    shape = {"strides": _STRIDES, "stacked": stacked, "reg_max": _BINS - 1}
    return DenseDetector(trunk, neck, head(classes, channels, conv=_separable, **shape), levels=(0, 1, 2))


def _merge(in_channels: int, channels: int) -> nn.Module:
    """The layers of the necks of 2022 that turn two concatenated levels into one."""
    return nn.Sequential(LCBlock(in_channels, in_channels, 5), LCBlock(in_channels, channels, 5))


_LEVELS = range(len(_STRIDES))
_TOWER = {
    f"^head.conv_feat.cls_conv_{theirs}{level}.{i}.": f"bbox_head.cls_convs.{level}.{i}.{ours}_conv."
    for theirs, ours in (("dw", "depthwise"), ("pw", "pointwise"))
    for level in _LEVELS
    for i in range(4)
}
_LAST = {f"^head.head_{part}{level}.": f"bbox_head.gfl_{part}.{level}." for part in ("cls", "reg") for level in _LEVELS}
_BLOCKS = {
    f"^backbone.{stage}_{i + 1}.": f"backbone.stage{stage}.{i}."
    for stage, count in ((2, 3), (3, 7), (4, 3))
    for i in range(count)
}
_PADDLE = {
    "._mean": ".running_mean",
    "._variance": ".running_var",
    **_BLOCKS,
    "._conv": ".conv",
    "._batch_norm.": ".bn.",
    "._se.": ".se.",
    "^neck.conv_t.convs.": "neck.reduce_layers.",
    "^neck.first_top_conv.": "neck.extra_lvl_in_conv.0.",
    "^neck.second_top_conv.": "neck.extra_lvl_out_conv.0.",
    ".dwconv.": ".depthwise_conv.conv.",
    ".bn1.": ".depthwise_conv.bn.",
    ".pwconv.": ".pointwise_conv.conv.",
    ".bn2.": ".pointwise_conv.bn.",
    **_TOWER,
    **_LAST,
    "^head.conv_feat.se.": "bbox_head.se.",
    "^head.cls_align.": "bbox_head.cls_align.",
    ".norm.": ".bn.",
}
"""The names of PaddleDetection."""

_INPUT = replace(RGB, color="bgr")
"""Its mean and std of red, green and blue are applied to blue, green and red."""

_PICODET = Variant(
    name="picodet_layout",
    paper="arXiv 2111.00902",
    summary="PicoDet on LCNet: the parts of a printed page",
    build=build,
    form=Dense(_STRIDES),
    classes_key="bbox_head.gfl_cls.0.weight",
    beside_classes=4 * _BINS,
    input=stretched(_INPUT, 800, 608),
    suppress=Suppress(conf=0.5, iou=0.5),
    labels=_LAYOUT,
    mapping=_PADDLE,
    unused=(
        "head.head_cls_list.",  # the same layers once more
        "head.head_reg_list.",
        "_feat.scale_reg",  # of the class that the head descends from
        "head.distribution_project.",  # a constant
    ),
)
_RATIOS = (0.875, 0.5, 1.0, 0.625, 0.5, 0.75, 0.625, 0.625, 0.5, 0.625, 1.0, 0.625, 0.75)
_SMALL_RATIOS = (0.875, 0.5, 0.5, 0.5, 0.625, 0.5, 0.625, *(0.5,) * 6)
_PAPER: dict[str, dict[str, Any]] = {
    "s": {"ratios": _SMALL_RATIOS, "wide": 0.75, "channels": 96, "stacked": 2},
    "m": {"ratios": _RATIOS},
    "l": {"ratios": _RATIOS, "wide": 1.25, "channels": 160},
    "lcnet_1_5x": {"wide": 1.5},
}
_LATER: dict[str, dict[str, Any]] = {
    "xs": {"wide": 0.35, "channels": 96, "stacked": 2},
    "s": {"wide": 0.75, "channels": 96, "stacked": 2},
    "m": {"wide": 1.5},
    "l": {"wide": 2.0, "channels": 160},
}


def _square(side: int) -> ImageInput:
    return stretched(RGB, side, side).placed(filter="cubic")


def _coco(file: str, summary: str, side: int, ap: float, build: dict[str, Any], **changes: Any) -> Variant:
    """A network that PaddleDetection publishes, for COCO."""
    return _PICODET.derive(
        f"picodet_{file}",
        f"{summary}, {side} px",
        Published(f"https://paddledet.bj.bcebos.com/models/picodet_{file}.pdparams", ap),
        build=build,
        input=_square(side),
        suppress=Suppress(iou=0.6),
        labels=COCO,
        **changes,
    )


def _paper(size: str, side: int, ap: float) -> Variant:
    trunk = "on LCNet" if size.startswith("lcnet") else f"PicoDet-{size}"
    return _coco(f"{size}_{side}_coco", f"{trunk}, of the paper", side, ap, _PAPER[size])


def _later(size: str, side: int, ap: float) -> Variant:
    return _coco(
        f"{size}_{side}_coco_lcnet",
        f"PicoDet-{size} of 2022, with an aligned head",
        side,
        ap,
        _LATER[size] | {"aligned": True},
        beside_classes=0,
        fusion=Fusion(0.5, 0.5, threshold_by="fused", rank_by="fused"),
    )


VARIANTS = (
    _PICODET,
    *(_paper(*each) for each in (("s", 320, 27.1), ("s", 416, 30.7), ("m", 320, 30.9), ("m", 416, 34.8))),
    *(_paper(*each) for each in (("l", 320, 32.9), ("l", 416, 36.6), ("l", 640, 40.9))),
    *(_paper("lcnet_1_5x", side, ap) for side, ap in ((416, 36.3), (640, 40.6))),
    *(_later(*each) for each in (("xs", 320, 23.5), ("xs", 416, 26.2), ("s", 320, 29.1), ("s", 416, 32.5))),
    *(_later(*each) for each in (("m", 320, 34.4), ("m", 416, 37.5))),
    *(_later("l", side, ap) for side, ap in ((320, 36.1), (416, 39.4), (640, 42.6))),
    _PICODET.derive(
        "picodet_test",
        "tiny PicoDet for tests",
        build={"wide": 0.5, "channels": 32, "stacked": 1},
        input=stretched(_INPUT, 128, 128),
    ),
    _PICODET.derive(
        "picodet_es_test",
        "tiny PicoDet on ESNet for tests",
        build={"ratios": _SMALL_RATIOS, "wide": 0.5, "channels": 32, "stacked": 1},
        input=_square(128),
    ),
    _PICODET.derive(
        "picodet_aligned_test",
        "tiny PicoDet of 2022 for tests",
        build={"wide": 0.35, "channels": 32, "stacked": 1, "aligned": True},
        input=_square(128),
        beside_classes=0,
        fusion=Fusion(0.5, 0.5, threshold_by="fused", rank_by="fused"),
    ),
)
ALIASES = {"picodet": "picodet_s_320_coco_lcnet"}
