"""YOLOX (arXiv 2107.08430): its authors' checkpoints, and OpenMMLab's of the same networks."""

from functools import partial
from typing import Any

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..backbones.csp import CSPDarknet
from ..blocks import ConvAct, Norm, renorm
from ..csp import CSPLayer, DarknetBlock, Separable
from ..detector import DenseDetector
from ..heads.yolox import YOLOXHead
from ..labels import COCO
from ..necks.pan import ConcatPAN
from ..variant import AS_IS_BGR, Published, Variant, in_grey_square, openmmlab

_STRIDES = (8, 16, 32)


def build(classes: int, *, deep: float, wide: float, depthwise: bool = False) -> nn.Module:
    """A YOLOX; `deep` and `wide` are factors of the large network's blocks and channels."""
    conv = Separable if depthwise else ConvAct
    trunk = CSPDarknet(deep=deep, wide=wide, depthwise=depthwise)
    channels, block = trunk.channels[0], partial(DarknetBlock, shortcut=False, conv=conv)
    merge = partial(CSPLayer, blocks=round(3 * deep), block=block)
    neck = ConcatPAN(trunk.channels, channels, merge=merge, down=conv, out=partial(ConvAct, kernel=1))
    network = DenseDetector(trunk, neck, YOLOXHead(classes, channels, strides=_STRIDES, conv=conv), levels=(0, 1, 2))
    return renorm(network, Norm("bn", 1e-3))


_SIZES: dict[str, dict[str, Any]] = {
    "nano": {"deep": 0.33, "wide": 0.25, "depthwise": True},
    "tiny": {"deep": 0.33, "wide": 0.375},
    "s": {"deep": 0.33, "wide": 0.5},
    "m": {"deep": 0.67, "wide": 0.75},
    "l": {"deep": 1.0, "wide": 1.0},
    "x": {"deep": 1.33, "wide": 1.25},
}
_CSP = {"conv1.": "main_conv.", "conv2.": "short_conv.", "conv3.": "final_conv.", "m.": "blocks."}
_STAGES = {"dark2.": "stage1.", "dark3.": "stage2.", "dark4.": "stage3.", "dark5.": "stage4."}
_MERGES = {
    "C3_p4.": "top_down_blocks.0.",
    "C3_p3.": "top_down_blocks.1.",
    "C3_n3.": "bottom_up_blocks.0.",
    "C3_n4.": "bottom_up_blocks.1.",
}
_NECK = {
    "lateral_conv0.": "reduce_layers.0.",
    "reduce_conv1.": "reduce_layers.1.",
    "bu_conv2.": "downsamples.0.",
    "bu_conv1.": "downsamples.1.",
}
_HEAD = {
    "stems.": "neck.out_convs.",
    "cls_convs.": "bbox_head.multi_level_cls_convs.",
    "reg_convs.": "bbox_head.multi_level_reg_convs.",
    "cls_preds.": "bbox_head.multi_level_conv_cls.",
    "reg_preds.": "bbox_head.multi_level_conv_reg.",
    "obj_preds.": "bbox_head.multi_level_conv_obj.",
}
_LAYOUT = {
    # The CSP layer is the second layer of a stage, but the third, after the pooling, in the last stage.
    **{
        f"^backbone.backbone.{stage}{place}.{layer}": f"backbone.{ours}{place}.{_CSP[layer]}"
        for stage, ours in _STAGES.items()
        for place in ((2,) if stage == "dark5." else (1,))
        for layer in _CSP
    },
    **{f"^backbone.backbone.{stage}": f"backbone.{ours}" for stage, ours in _STAGES.items()},
    "^backbone.backbone.": "backbone.",
    **{f"^backbone.{merge}{layer}": f"neck.{ours}{_CSP[layer]}" for merge, ours in _MERGES.items() for layer in _CSP},
    **{f"^backbone.{theirs}": f"neck.{ours}" for theirs, ours in _NECK.items()},
    **{f"^head.{theirs}": ours for theirs, ours in _HEAD.items()},
    ".dconv.": ".depthwise_conv.",
    ".pconv.": ".pointwise_conv.",
}
"""The authors' names. Ours are those of OpenMMLab."""

_at = partial(in_grey_square, AS_IS_BGR)
_YOLOX = Variant(
    name="yolox_s",
    paper="arXiv 2107.08430",
    summary="a box per point, no anchors; objectness; its own layers for each level",
    build=partial(build, **_SIZES["s"]),
    form=Dense(_STRIDES, top_k=10_000, unit="best", clip="none"),
    classes_key="bbox_head.multi_level_conv_cls.0.weight",
    input=_at(640).placed(rounding="floor", inverse="factor"),
    fusion=Fusion(1.0, 1.0, threshold_by="fused", rank_by="fused"),
    suppress=Suppress(iou=0.65),
    labels=COCO,
    published=Published("https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/yolox_s.pth", 40.5),
    mapping=_LAYOUT,
)


def _yolox(size: str, canvas: int, ap: float) -> Variant:
    """A checkpoint of the authors."""
    url = f"https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/yolox_{size}.pth"
    return _YOLOX.derive(
        f"yolox_{size}",
        f"YOLOX-{size}",
        Published(url, ap),
        build=_SIZES[size],
        input=_at(canvas).placed(rounding="floor", inverse="factor"),
    )


def _mmdet(size: str, canvas: int, suffix: str, ap: float) -> Variant:
    """A checkpoint of OpenMMLab."""
    published = openmmlab("yolox", f"yolox_{size}_8x8_300e_coco", suffix, ap)
    summary = f"YOLOX-{size}, trained by OpenMMLab"
    return _YOLOX.derive(f"yolox_{size}_mmdet", summary, published, build=_SIZES[size], input=_at(canvas))


VARIANTS = (
    _YOLOX,
    _yolox("nano", 416, 25.8),
    _yolox("tiny", 416, 32.8),
    _yolox("m", 640, 46.9),
    _yolox("l", 640, 49.7),
    _yolox("x", 640, 51.1),
    _mmdet("tiny", 416, "_20211124_171234-b4047906", 32.0),
    _mmdet("s", 640, "_20211121_095711-4592a793", 40.5),
    _mmdet("l", 640, "_20211126_140236-d3bd2b23", 49.4),
    _mmdet("x", 640, "_20211126_140254-1ef88d67", 50.9),
    _YOLOX.derive(
        "yolox_test",
        "tiny YOLOX with separable convolutions for tests",
        build={"deep": 0.33, "wide": 0.125, "depthwise": True},
        input=_at(128),
    ),
)
ALIASES = {"yolox": "yolox_s"}
