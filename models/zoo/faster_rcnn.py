"""Faster R-CNN (arXiv 1506.01497) with a feature pyramid (arXiv 1612.03144)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Proposed
from ...deploy.inputs.network_inputs import ImageInput, SizeInput
from ..anchors import Anchors
from ..backbones.hrnet import HRNet
from ..backbones.regnet import X_3_2GF
from ..backbones.res2net import R2_101
from ..backbones.resnet import (
    DCN_C3_C5,
    DCN_V2_C3_C5,
    R18,
    R50,
    R50_CAFFE,
    R101,
    R101_CAFFE,
    TINY,
    X101_32X4D,
    X101_64X4D,
    grouped_offsets,
)
from ..heads.bbox import BoxHead
from ..heads.rpn import RPNHead
from ..labels import COCO
from ..necks.fpn import FPN
from ..necks.hrfpn import HRFPN
from ..proposals import USUAL, ProposalRule
from ..regions import RegionFeatures
from ..two_stage import RoIHead, TwoStageDetector
from ..variant import BGR, CAFFE_2, RGB, Variant, openmmlab, spelled

ANCHORS = Anchors((4, 8, 16, 32, 64), scales=(8.0,))
LEGACY_ANCHORS = replace(ANCHORS, centre=0.5, inclusive=True, rounded="corners")
LEGACY_FEATURES = RegionFeatures(sampling=2, aligned=False, inclusive=True)
POOLED = partial(FPN, levels=len(ANCHORS.strides), extra="pool")


def build(
    classes: int,
    *,
    backbone: Callable[[], Any] = R50,
    channels: int = 256,
    width: int = 1024,
    rule: ProposalRule = USUAL,
    neck: Callable[..., nn.Module] = POOLED,
    box_head: Callable[..., nn.Module] = BoxHead,
    legacy: bool = False,
) -> nn.Module:
    """A Faster R-CNN whose box head has layers of `width`.

    `neck` takes the channels of the levels C2 to C5 and those of the pyramid. The `legacy` form is that of mmdet before
    1.1: boxes end at their last pixel, and the background is the first class.
    """
    trunk = backbone()
    anchors, features = ANCHORS, RegionFeatures()
    if legacy:
        anchors, features = LEGACY_ANCHORS, LEGACY_FEATURES
        rule, box_head = replace(rule, inclusive=True), partial(box_head, legacy=True)
    rpn = RPNHead(channels, anchors=anchors, rule=rule)
    return TwoStageDetector(
        trunk,
        neck(trunk.channels, channels),
        rpn,
        RoIHead(features, box_head(classes, channels, size=features.size, width=width)),
    )


FASTER_RCNN = Variant(
    name="faster_rcnn_r50",
    paper="arXiv 1506.01497",
    summary="the two-stage detector, with a feature pyramid",
    build=build,
    form=Proposed(),
    classes_key="roi_head.bbox_head.fc_cls.weight",
    beside_classes=1,
    other_inputs=(SizeInput(),),
    suppress=Suppress(iou=0.5),
    labels=COCO,
    published=openmmlab("faster_rcnn", "faster_rcnn_r50_fpn_1x_coco", "_20200130-047c8118", 37.4),
)


def _four_groups() -> Any:
    return grouped_offsets(R50(deformable=DCN_V2_C3_C5), 4)


_HRNET = {"backbone": partial(HRNet, 32, outputs=4), "neck": partial(HRFPN, levels=len(ANCHORS.strides))}
# Name, arguments of `build`, preprocessing, and OpenMMLab's checkpoint: its folder, its name, what follows in the
# file's, its AP.
_FASTER_RCNNS: tuple[tuple[str, dict[str, Any], ImageInput, str, str, str, float], ...] = (
    *(
        (name, {"backbone": backbone}, images, "faster_rcnn", f"faster_rcnn_{stem}_coco", suffix, ap)
        for name, backbone, images, stem, suffix, ap in (
            ("r50_2x", R50, RGB, "r50_fpn_2x", "_bbox_mAP-0.384_20200504_210434-a5d8aa15", 38.4),
            ("r50_caffe", R50_CAFFE, CAFFE_2, "r50_caffe_fpn_1x", "_bbox_mAP-0.378_20200504_180032-c5925ee5", 37.8),
            ("r101", R101, RGB, "r101_fpn_1x", "_20200130-f513f705", 39.4),
            ("r101_2x", R101, RGB, "r101_fpn_2x", "_bbox_mAP-0.398_20200504_210455-1d2dac9c", 39.8),
            ("r101_caffe", R101_CAFFE, CAFFE_2, "r101_caffe_fpn_1x", "_bbox_mAP-0.398_20200504_180057-b269e9dd", 39.8),
            ("x101_32x4d", X101_32X4D, RGB, "x101_32x4d_fpn_1x", "_20200203-cff10310", 41.2),
            ("x101_64x4d", X101_64X4D, RGB, "x101_64x4d_fpn_1x", "_20200204-833ee192", 42.1),
        )
    ),
    *(
        (name, {"backbone": backbone}, RGB, "dcn", f"faster_rcnn_r50_fpn_{form}_1x_coco", suffix, ap)
        for name, backbone, form, suffix, ap in (
            ("r50_dcn", partial(R50, deformable=DCN_C3_C5), "dconv_c3-c5", "_20200130-d68aed1e", 41.3),
            ("r50_dcnv2", partial(R50, deformable=DCN_V2_C3_C5), "mdconv_c3-c5", "_20200130-d099253b", 41.4),
            ("r50_dcnv2_g4", _four_groups, "mdconv_c3-c5_group4", "_20200130-01262257", 41.5),
        )
    ),
    ("r2_101", {"backbone": R2_101}, RGB, "res2net", "faster_rcnn_r2_101_fpn_2x_coco", "-175f1da6", 43.0),
    (
        *("regnetx_3.2gf", {"backbone": X_3_2GF}, BGR, "regnet"),
        *("faster_rcnn_regnetx-3.2GF_fpn_1x_coco", "_20200517_175927-126fd9bf", 39.9),
    ),
    ("hrnet_w32", _HRNET, RGB, "hrnet", "faster_rcnn_hrnetv2p_w32_1x_coco", "_20200130-6e286425", 40.2),
)

_WORDS = {
    "r2_101": "Res2Net-101, 2x schedule",
    "regnetx_3.2gf": "RegNetX of 3.2 billion operations",
    "hrnet_w32": "HRNetV2p-W32",
    "r50_dcnv2_g4": "ResNet-50, modulated deformable, four groups of offsets",
}

SMALL = {"backbone": TINY, "channels": 32, "width": 32, "rule": ProposalRule(top_k=100, count=100)}
"""Arguments of `build` for tiny networks."""

VARIANTS = (
    FASTER_RCNN,
    FASTER_RCNN.derive("faster_rcnn_r18", "Faster R-CNN: ResNet-18", build={"backbone": R18}),
    *(
        FASTER_RCNN.derive(
            f"faster_rcnn_{name}",
            f"Faster R-CNN: {_WORDS.get(name) or spelled(name)}",
            openmmlab(*checkpoint),
            build=parts,
            input=images,
        )
        for name, parts, images, *checkpoint in _FASTER_RCNNS
    ),
    FASTER_RCNN.derive(
        "faster_rcnn_r50_softnms",
        "Faster R-CNN with Soft-NMS: ResNet-50",
        FASTER_RCNN.published,
        build={},
        suppress=Suppress("linear", iou=0.5, floor=1e-3),
    ),
    FASTER_RCNN.derive(
        "faster_rcnn_test",
        "tiny Faster R-CNN for tests",
        build=SMALL,
    ),
)
ALIASES = {"faster_rcnn": "faster_rcnn_r50", "faster_rcnn_r50_regnet": "faster_rcnn_regnetx_3.2gf"}
