"""RetinaNet (arXiv 1708.02002), and the losses that train the same network: FreeAnchor (arXiv 1909.02466), PISA
(arXiv 1904.04821), DR Loss (arXiv 1907.10156) and Noisy Anchors (arXiv 1912.05086)."""

from dataclasses import replace
from functools import partial

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..backbones.resnet import R18, R50, R50_CAFFE, R101, R101_CAFFE, TINY, X101_32X4D, X101_64X4D, Backbone
from ..detector import DenseDetector
from ..heads.retina import RetinaHead
from ..labels import COCO
from ..layouts import BENCHMARK_UNUSED, benchmark
from ..necks.fpn import FPN
from ..variant import CAFFE_1, CAFFE_2, RGB, Published, Variant, openmmlab, spelled

_ANCHORS = Anchors()
_STDS = (0.1, 0.1, 0.2, 0.2)


def build(
    classes: int,
    *,
    backbone: Backbone = R50,
    channels: int = 256,
    stacked: int = 4,
    relu: bool = False,
    anchors: Anchors = _ANCHORS,
    stds: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0),
    with_iou: bool = False,
    norms: bool = False,
) -> nn.Module:
    """A RetinaNet, with `relu` between P6 and P7 and batch `norms` in the pyramid and the branches."""
    trunk = backbone()
    norm = "bn" if norms else None
    neck = FPN(trunk.channels[1:], channels, len(anchors.strides), extra="input", relu=relu, norm=norm)
    head = RetinaHead(
        classes, channels, stacked=stacked, anchors=anchors, stds=stds, with_iou=with_iou, level_norms=norms
    )
    return DenseDetector(trunk, neck, head)


RETINANET = Variant(
    name="retinanet_r50",
    paper="arXiv 1708.02002",
    summary="the dense detector with anchors",
    build=build,
    form=Dense(_ANCHORS.strides, anchors=_ANCHORS.per_cell),
    classes_key="bbox_head.retina_cls.weight",
    suppress=Suppress(iou=0.5),
    labels=COCO,
    published=openmmlab("retinanet", "retinanet_r50_fpn_1x_coco", "_20200130-c2398f9e", 36.5),
)


# Name, backbone, preprocessing, and OpenMMLab's checkpoint: its folder's name, what follows in the file's, its AP.
_RETINANETS = (
    ("r18", R18, RGB, "retinanet_r18_fpn_1x_coco", "_20220407_171055-614fd399", 31.7),
    ("r50_2x", R50, RGB, "retinanet_r50_fpn_2x_coco", "_20200131-fdb43119", 37.4),
    ("r50_3x", R50, RGB, "retinanet_r50_fpn_mstrain_3x_coco", "_20210718_220633-88476508", 39.5),
    ("r50_caffe", R50_CAFFE, CAFFE_2, "retinanet_r50_caffe_fpn_1x_coco", "_20200531-f11027c5", 36.3),
    ("r101", R101, RGB, "retinanet_r101_fpn_1x_coco", "_20200130-7a93545f", 38.5),
    ("r101_2x", R101, RGB, "retinanet_r101_fpn_2x_coco", "_20200131-5560aee8", 38.9),
    ("r101_3x", R101, RGB, "retinanet_r101_fpn_mstrain_3x_coco", "_20210720_214650-7ee888e0", 41.0),
    ("r101_caffe", R101_CAFFE, CAFFE_2, "retinanet_r101_caffe_fpn_1x_coco", "_20200531-b428fa0f", 38.5),
    (
        "r101_caffe_3x",
        R101_CAFFE,
        CAFFE_2,
        "retinanet_r101_caffe_fpn_mstrain_3x_coco",
        "_20210721_063439-88a8a944",
        40.7,
    ),
    ("x101_32x4d", X101_32X4D, RGB, "retinanet_x101_32x4d_fpn_1x_coco", "_20200130-5c8b7ec4", 39.9),
    ("x101_32x4d_2x", X101_32X4D, RGB, "retinanet_x101_32x4d_fpn_2x_coco", "_20200131-237fc5e1", 40.1),
    ("x101_64x4d", X101_64X4D, RGB, "retinanet_x101_64x4d_fpn_1x_coco", "_20200130-366f5af1", 41.0),
    ("x101_64x4d_2x", X101_64X4D, RGB, "retinanet_x101_64x4d_fpn_2x_coco", "_20200131-bca068ab", 40.8),
    (
        "x101_64x4d_3x",
        X101_64X4D,
        RGB,
        "retinanet_x101_64x4d_fpn_mstrain_3x_coco",
        "_20210719_051838-022c2187",
        41.6,
    ),
)


def _free_anchor(on: str, backbone: Backbone, suffix: str, ap: float) -> Variant:
    """FreeAnchor: learned matching of objects to anchors, and deltas with other stds."""
    published = openmmlab("free_anchor", f"retinanet_free_anchor_{on}_fpn_1x_coco", suffix, ap)
    name, summary = f"free_anchor_{on}", f"RetinaNet trained by FreeAnchor: {spelled(on)}"
    build = {"backbone": backbone, "stds": _STDS}
    return RETINANET.derive(name, summary, published, build=build, paper="arXiv 1909.02466")


def _pisa(on: str, backbone: Backbone, suffix: str, ap: float) -> Variant:
    published = openmmlab("pisa", f"pisa_retinanet_{on}_fpn_1x_coco", suffix, ap)
    name, summary = f"pisa_retinanet_{on}", f"RetinaNet trained on prime samples (PISA): {spelled(on)}"
    return RETINANET.derive(name, summary, published, build={"backbone": backbone}, paper="arXiv 1904.04821")


_BENCHMARK_HEAD = {"cls_logits": "retina_cls", "bbox_pred": "retina_reg"}


def _dr_loss(on: str, backbone: Backbone, ap: float) -> Variant:
    """DR Loss, with the layout and coordinates of maskrcnn-benchmark. Its authors keep the weights on a web drive."""
    anchors = Anchors(centre=0.5, inclusive=True, rounded="ratios")
    backbone = partial(backbone, norm_eps=0.0)
    return RETINANET.derive(
        f"dr_loss_{on}",
        f"RetinaNet trained by ranking distributions (DR Loss): {spelled(on)}",
        Published(None, ap),
        build={"backbone": backbone, "relu": True, "anchors": anchors, "stds": _STDS},
        paper="arXiv 1907.10156",
        input=CAFFE_1,
        form=replace(RETINANET.form, clip="last_pixel"),
        # Classes start with a score of 0.5 and stay higher, so the authors use thresholds of 0.1 and 0.2, not 0.05.
        suppress=Suppress(conf=0.4, iou=0.5, inclusive=True),
        mapping=benchmark(_BENCHMARK_HEAD, layers=4, step=2),
        unused=BENCHMARK_UNUSED,
    )


VARIANTS = (
    RETINANET,
    *(
        RETINANET.derive(
            f"retinanet_{name}",
            f"RetinaNet: {spelled(name)}",
            openmmlab("retinanet", *checkpoint),
            build={"backbone": backbone},
            input=input,
        )
        for name, backbone, input, *checkpoint in _RETINANETS
    ),
    _free_anchor("r50", R50, "_20200130-0f67375f", 38.7),
    _free_anchor("r101", R101, "_20200130-358324e6", 40.3),
    _free_anchor("x101_32x4d", X101_32X4D, "_20200130-d4846968", 41.9),
    _pisa("r50", R50, "-76409952", 36.9),
    _pisa("x101_32x4d", X101_32X4D, "-a0c13c73", 40.7),
    _dr_loss("r50", R50_CAFFE, 37.4),
    _dr_loss("r101_2x", R101_CAFFE, 41.5),
    RETINANET.derive(
        "noisy_anchors_r50",
        "RetinaNet trained with cleanliness scores of anchors",
        build={},
        paper="arXiv 1912.05086",
    ),
    RETINANET.derive(
        "retinanet_test", "tiny RetinaNet for tests", build={"backbone": TINY, "channels": 32, "stacked": 1}
    ),
)
ALIASES = {
    "retinanet": "retinanet_r50",
    "free_anchor": "free_anchor_r50",
    "pisa": "pisa_retinanet_r50",
    "dr_loss": "dr_loss_r50",
    "noisy_anchors": "noisy_anchors_r50",
}
