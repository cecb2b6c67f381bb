"""YuNet (Machine Intelligence Research 20, 2023), the face detector of libfacedetection."""

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..backbones.yunet import YuNetBackbone
from ..detector import DenseDetector
from ..heads.yunet import YuNetHead
from ..necks.yunet import TinyFPN
from ..skeletons import FACE
from ..variant import AS_IS_BGR, Published, Variant

_STRIDES = (8, 16, 32)
_N = (16, 64, 64, 64, 64, 64)
_S = (16, 32, 64, 64, 64, 64)


def build(classes: int, *, widths: tuple[int, ...] = _N, stacked: int = 1) -> nn.Module:
    """A YuNet; `widths` are the channels of its stem and stages."""
    trunk = YuNetBackbone(widths)
    channels = trunk.channels[-1]
    neck = TinyFPN(channels, len(_STRIDES))
    head = YuNetHead(classes, channels, strides=_STRIDES, stacked=stacked)
    return DenseDetector(trunk, neck, head, levels=(0, 1, 2))


def _published(size: str, ap: float) -> Published:
    """The AP is that of WIDER FACE's hard set."""
    return Published(f"https://github.com/ShiqiYu/libfacedetection.train/raw/master/weights/yunet_{size}.pth", ap)


_YUNET = Variant(
    name="yunet_n",
    paper="doi 10.1007/s11633-023-1423-y",
    summary="faces with five points, 76 thousand parameters; AP of WIDER FACE hard",
    build=build,
    form=Dense(_STRIDES, clip="none"),
    classes_key="bbox_head.multi_level_cls.0.conv1.weight",
    input=AS_IS_BGR,
    # As in OpenCV's FaceDetectorYN. The authors' training code multiplies score and objectness instead.
    fusion=Fusion(0.5, 0.5, threshold_by="fused", rank_by="fused"),
    suppress=Suppress(conf=0.6, iou=0.3),
    labels=("face",),
    published=_published("n", 81.1),
    skeleton=FACE,
)

VARIANTS = (
    _YUNET,
    _YUNET.derive(
        "yunet_s",
        "faces with five points, 55 thousand parameters; AP of WIDER FACE hard",
        _published("s", 76.8),
        build={"widths": _S, "stacked": 0},
    ),
    _YUNET.derive("yunet_test", "tiny YuNet for tests", build={"widths": (8, 8, 16, 16, 16, 16)}),
)
ALIASES = {"yunet": "yunet_n"}
