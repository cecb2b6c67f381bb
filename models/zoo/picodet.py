"""PP-PicoDet (arXiv 2111.00902) on PP-LCNet (arXiv 2109.15099)."""

from dataclasses import replace
from functools import partial

from torch import nn
from torch.nn import functional as F

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..backbones.lcnet import LCNet
from ..blocks import ConvAct
from ..csp import CSPLayer, DarknetBlock, Separable
from ..detector import DenseDetector
from ..heads.nanodet import NanoDetHead
from ..necks.pan import UniformPAN
from ..variant import RGB, Variant, stretched

_STRIDES = (8, 16, 32, 64)
_BINS = 8
_LAYOUT = (
    *("text", "title", "figure", "figure_caption", "table"),
    *("table_caption", "header", "footer", "reference", "equation"),
)


def build(classes: int, *, wide: float = 1.0, channels: int = 128, stacked: int = 4) -> nn.Module:
    """A PicoDet; `wide` is a factor of the backbone's channels."""
    trunk = LCNet(wide=wide)
    separable = partial(Separable, kernel=5, activation=F.hardswish)
    block = partial(DarknetBlock, shortcut=False, conv=Separable, kernel=5, activation=F.hardswish)
    neck = UniformPAN(
        trunk.channels,
        channels,
        reduce=partial(ConvAct, kernel=1, activation=F.hardswish),
        merge=partial(CSPLayer, blocks=1, block=block, activation=F.hardswish),
        down=partial(separable, stride=2),
    )
    head = NanoDetHead(classes, channels, conv=separable, strides=_STRIDES, stacked=stacked, reg_max=_BINS - 1)
    return DenseDetector(trunk, neck, head, levels=(0, 1, 2))


_PADDLE = {
    "._mean": ".running_mean",
    "._variance": ".running_var",
    "^neck.conv_t.convs.": "neck.reduce_layers.",
    "^neck.first_top_conv.": "neck.extra_lvl_in_conv.0.",
    "^neck.second_top_conv.": "neck.extra_lvl_out_conv.0.",
    ".dwconv.": ".depthwise_conv.conv.",
    ".bn1.": ".depthwise_conv.bn.",
    ".pwconv.": ".pointwise_conv.conv.",
    ".bn2.": ".pointwise_conv.bn.",
    **{
        f"^head.conv_feat.cls_conv_{theirs}{level}.{i}.": f"bbox_head.cls_convs.{level}.{i}.{ours}_conv."
        for theirs, ours in (("dw", "depthwise"), ("pw", "pointwise"))
        for level in range(len(_STRIDES))
        for i in range(4)
    },
    **{f"^head.head_cls{level}.": f"bbox_head.gfl_cls.{level}." for level in range(len(_STRIDES))},
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
)

VARIANTS = (
    _PICODET,
    _PICODET.derive(
        "picodet_test",
        "tiny PicoDet for tests",
        build={"wide": 0.5, "channels": 32, "stacked": 1},
        input=stretched(_INPUT, 128, 128),
    ),
)
ALIASES = {"picodet": "picodet_layout"}
