"""NanoDet: Generalized Focal Loss (arXiv 2006.04388) for phones. Its author keeps the weights on a web drive."""

from dataclasses import replace
from functools import partial

from torch import nn
from torch.nn import functional as F

from ...deploy.forms import Dense
from ...deploy.inputs.network_inputs import ImageInput
from ...deploy.inputs.resize import Pad, Resize
from ..backbones.shufflenetv2 import LEAKY, ShuffleNetV2
from ..blocks import ConvAct
from ..csp import Separable
from ..detector import DenseDetector
from ..heads.nanodet import NanoDetHead
from ..labels import COCO
from ..necks.ghost import GhostBlocks
from ..necks.pan import AddPAN, UniformPAN
from ..variant import BGR, Published, Variant, stretched

_STRIDES, _PLUS_STRIDES = (8, 16, 32), (8, 16, 32, 64)
_BINS = 8
_leaky = partial(F.leaky_relu, negative_slope=0.1)


def build(classes: int, *, wide: float = 1.0, channels: int = 96) -> nn.Module:
    """A NanoDet; `wide` is a factor of the backbone's channels."""
    trunk = ShuffleNetV2(wide=wide, activation=LEAKY)
    conv = partial(Separable, kernel=3, activation=_leaky)
    head = NanoDetHead(classes, channels, conv=conv, strides=_STRIDES, reg_max=_BINS - 1)
    return DenseDetector(trunk, AddPAN(trunk.channels, channels), head, levels=(0, 1, 2))


def build_plus(classes: int, *, wide: float = 1.0, channels: int = 96) -> nn.Module:
    """A NanoDet-Plus; `wide` is a factor of the backbone's channels."""
    trunk = ShuffleNetV2(wide=wide, activation=LEAKY)
    separable = partial(Separable, kernel=5, activation=_leaky)
    neck = UniformPAN(
        trunk.channels,
        channels,
        reduce=partial(ConvAct, kernel=1, activation=_leaky),
        merge=GhostBlocks,
        down=partial(separable, stride=2),
        enlarge="bilinear",
    )
    head = NanoDetHead(classes, channels, conv=separable, strides=_PLUS_STRIDES, reg_max=_BINS - 1, offset=0.0)
    return DenseDetector(trunk, neck, head, levels=(0, 1, 2))


def _square(side: int) -> ImageInput:
    """The image in the top left of a square of zeros. The author's own programs centre it."""
    place = Resize((side, side), rounding="floor", pad=Pad((side, side), 32), inverse="factor")
    return replace(BGR, place=place)


_NANODET = Variant(
    name="nanodet_m",
    paper="arXiv 2006.04388",
    summary="NanoDet-m: GFL for phones, a million parameters",
    build=build,
    form=Dense(_STRIDES, clip="none"),
    classes_key="bbox_head.gfl_cls.0.weight",
    beside_classes=4 * _BINS,
    input=_square(320),
    labels=COCO,
    published=Published(None, 20.6),
    mapping={
        "^model.": "",
        "^fpn.": "neck.",
        "^head.": "bbox_head.",
        ".depthwise.": ".depthwise_conv.conv.",
        ".dwnorm.": ".depthwise_conv.bn.",
        ".pointwise.": ".pointwise_conv.conv.",
        ".pwnorm.": ".pointwise_conv.bn.",
    },
    unused=(
        "head.gfl_reg.",  # The shared tower has no layers that are only for boxes.
        "head.distribution_project.",
        "head.project",
        "aux_fpn.",
        "aux_head.",
    ),
)
_PLUS = replace(
    _NANODET,
    name="nanodet_plus_m",
    summary="NanoDet-Plus-m: ghost modules in the neck, a fourth level",
    build=build_plus,
    input=stretched(BGR, 320, 320),
    form=Dense(_PLUS_STRIDES),
    published=Published(None, 27.0),
)

VARIANTS = (
    _NANODET,
    _NANODET.derive("nanodet_m_416", "NanoDet-m, 416 px", Published(None, 23.5), build={}, input=_square(416)),
    _NANODET.derive("nanodet_m_0.5x", "NanoDet-m, half as wide", Published(None, 13.5), build={"wide": 0.5}),
    _NANODET.derive(
        "nanodet_m_1.5x", "NanoDet-m, 1.5 times as wide", Published(None, 23.5), build={"wide": 1.5, "channels": 128}
    ),
    _NANODET.derive(
        "nanodet_m_1.5x_416",
        "NanoDet-m, 1.5 times as wide, 416 px",
        Published(None, 26.8),
        build={"wide": 1.5, "channels": 128},
        input=_square(416),
    ),
    _PLUS,
    _PLUS.derive(
        "nanodet_plus_m_416", "NanoDet-Plus-m, 416 px", Published(None, 30.4), build={}, input=stretched(BGR, 416, 416)
    ),
    _PLUS.derive(
        "nanodet_plus_m_1.5x",
        "NanoDet-Plus-m, 1.5 times as wide",
        Published(None, 29.9),
        build={"wide": 1.5, "channels": 128},
    ),
    _PLUS.derive(
        "nanodet_plus_m_1.5x_416",
        "NanoDet-Plus-m, 1.5 times as wide, 416 px",
        Published(None, 34.1),
        build={"wide": 1.5, "channels": 128},
        input=stretched(BGR, 416, 416),
    ),
    _PLUS.derive(
        "nanodet_plus_test",
        "tiny NanoDet-Plus for tests",
        build={"wide": 0.5, "channels": 32},
        input=stretched(BGR, 128, 128),
    ),
    _NANODET.derive(
        "nanodet_test",
        "tiny NanoDet for tests",
        build={"wide": 0.5, "channels": 32},
        input=_square(128),
    ),
)
ALIASES = {"nanodet": "nanodet_m", "nanodet_plus": "nanodet_plus_m"}
