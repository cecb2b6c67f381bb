"""RepPoints (arXiv 1904.11490)."""

from functools import partial

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..backbones.resnet import DCN_C3_C5, R50, R101, TINY_BOTTLENECKS, X101_32X4D, Backbone
from ..detector import DenseDetector
from ..heads.reppoints import RepPointsHead, Shape
from ..labels import COCO
from ..necks.fpn import FPN
from ..variant import Variant, openmmlab

_STRIDES = (8, 16, 32, 64, 128)


def build(
    classes: int,
    *,
    backbone: Backbone = R50,
    channels: int = 256,
    stacked: int = 3,
    shape: Shape = "moment",
    norm: str | None = "gn",
) -> nn.Module:
    """A RepPoints; `norm` is that of the pyramid and of the head's branches."""
    trunk = backbone()
    neck = FPN(trunk.channels[1:], channels, len(_STRIDES), extra="input", lateral_norm=norm, norm=norm)
    head = RepPointsHead(classes, channels, shape=shape, norm=norm, stacked=stacked, strides=_STRIDES)
    return DenseDetector(trunk, neck, head)


_published = partial(openmmlab, "reppoints")
_MOMENT, _BOTH = "reppoints_moment_", "_gn-neck%2Bhead"

_REPPOINTS = Variant(
    name="reppoints_r50",
    paper="arXiv 1904.11490",
    summary="objects as nine points, whose moments are their boxes",
    build=partial(build, norm=None),
    form=Dense(_STRIDES),
    classes_key="bbox_head.reppoints_cls_out.weight",
    suppress=Suppress(iou=0.5),
    labels=COCO,
    published=_published(f"{_MOMENT}r50_fpn_1x_coco", "_20200330-b73db8d1", 37.0),
)
_GN = partial(_REPPOINTS.derive, build={"norm": "gn"})

VARIANTS = (
    _REPPOINTS,
    _GN(
        "reppoints_r50_gn",
        "RepPoints with group norm",
        _published(f"{_MOMENT}r50_fpn{_BOTH}_1x_coco", "_20200329_145952-3e51b550", 38.1),
    ),
    _GN(
        "reppoints_r50_gn_2x",
        "RepPoints with group norm, trained longer",
        _published(f"{_MOMENT}r50_fpn{_BOTH}_2x_coco", "_20200329-91babaa2", 38.6),
    ),
    _GN(
        "reppoints_r101_gn_2x",
        "RepPoints with group norm, trained longer, on ResNet-101",
        _published(f"{_MOMENT}r101_fpn{_BOTH}_2x_coco", "_20200329-4fbc7310", 40.5),
        build={"norm": "gn", "backbone": R101},
    ),
    _GN(
        "reppoints_r101_dcn_gn_2x",
        "RepPoints with group norm, trained longer, on deformable ResNet-101",
        _published(f"{_MOMENT}r101_fpn_dconv_c3-c5{_BOTH}_2x_coco", "_20200329-3309fbf2", 42.9),
        build={"norm": "gn", "backbone": partial(R101, deformable=DCN_C3_C5)},
    ),
    _GN(
        "reppoints_x101_dcn_gn_2x",
        "RepPoints with group norm, trained longer, on deformable ResNeXt-101 32x4d",
        _published(f"{_MOMENT}x101_fpn_dconv_c3-c5{_BOTH}_2x_coco", "_20200329-f87da1ea", 44.2),
        build={"norm": "gn", "backbone": partial(X101_32X4D, deformable=DCN_C3_C5)},
    ),
    _GN(
        "reppoints_r50_minmax_gn",
        "RepPoints with group norm, boxes around the outermost points",
        build={"norm": "gn", "shape": "minmax"},
    ),
    _GN(
        "reppoints_bbox_r50_gn",
        "the box detector that RepPoints compares with: points on a grid",
        _published(f"bbox_r50_grid_fpn{_BOTH}_1x_coco", "_20200329_145916-0eedf8d1", 36.4),
        build={"norm": "gn", "shape": "grid"},
    ),
    _GN(
        "reppoints_test",
        "tiny RepPoints for tests",
        build={"norm": "gn", "backbone": TINY_BOTTLENECKS, "channels": 32, "stacked": 1},
    ),
)
ALIASES = {"reppoints": "reppoints_r50_gn"}
