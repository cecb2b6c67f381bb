"""BorderDet (arXiv 2007.11056). The authors' checkpoints have no direct URL."""

from functools import partial

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..backbones.resnet import DCN_V2_C4_C5, R50_CAFFE, R101, R101_CAFFE, TINY, X101_64X4D, Backbone
from ..detector import DenseDetector
from ..heads.borderdet import BorderDetHead
from ..labels import COCO
from ..layouts import CVPODS
from ..necks.fpn import FPN
from ..variant import CAFFE_2, Published, Variant

_STRIDES = (8, 16, 32, 64, 128)
_X101_32X8D = partial(R101, groups=(32, 8))


def build(
    classes: int,
    *,
    backbone: Backbone = R50_CAFFE,
    channels: int = 256,
    border_channels: tuple[int, int] = (256, 128),
    stacked: int = 4,
) -> nn.Module:
    """A BorderDet. `border_channels` is the number of channels per border in the class and in the box branch."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(_STRIDES), relu=True)
    head = BorderDetHead(classes, channels, border_channels=border_channels, stacked=stacked, strides=_STRIDES)
    return DenseDetector(trunk, neck, head)


_BORDERDET = Variant(
    name="borderdet_r50",
    paper="arXiv 2007.11056",
    summary="features along the borders of FCOS' boxes classify and refine them",
    build=build,
    form=Dense(_STRIDES),
    classes_key="bbox_head.conv_cls.weight",
    input=CAFFE_2,
    fusion=Fusion(0.5, 0.5, rank_by="fused"),
    suppress=Suppress(conf=0.4),  # of the first stage's score
    labels=COCO,
    published=Published(None, 41.4),  # theirs are on a drive, all of them
    mapping=CVPODS
    | {
        "^head.centerness.": "bbox_head.conv_centerness.",
        "^head.border_": "bbox_head.border_",
    },
)


def _on(name: str, backbone: Backbone, described: str, ap: float) -> Variant:
    published = Published(None, ap)
    return _BORDERDET.derive(f"borderdet_{name}", f"BorderDet on {described}", published, build={"backbone": backbone})


VARIANTS = (
    _BORDERDET,
    _on("r101", R101_CAFFE, "ResNet-101", 45.0),
    _on("x101_32x8d", _X101_32X8D, "ResNeXt-101 32x8d", 45.6),
    _on("x101_64x4d", X101_64X4D, "ResNeXt-101 64x4d", 46.2),
    _on(
        "x101_32x8d_dcn",
        partial(_X101_32X8D, deformable=DCN_V2_C4_C5),
        "ResNeXt-101 32x8d with modulated deformable stages C4 and C5",
        47.9,
    ),
    _on(
        "x101_64x4d_dcn",
        partial(X101_64X4D, deformable=DCN_V2_C4_C5),
        "ResNeXt-101 64x4d with modulated deformable stages C4 and C5",
        47.5,
    ),
    _BORDERDET.derive(
        "borderdet_test",
        "tiny BorderDet for tests",
        build={"backbone": TINY, "channels": 32, "border_channels": (16, 8), "stacked": 1},
    ),
)
ALIASES = {"borderdet": "borderdet_r50"}
