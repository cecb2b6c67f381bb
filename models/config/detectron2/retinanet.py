"""Detectron2's RetinaNet: boxes are suppressed first, and clipped last."""

from collections.abc import Mapping
from typing import Any

from .keys import Keys
from .parts import (
    ONE_STAGE,
    ONE_STAGE_STRIDES,
    Translation,
    anchors,
    backbone,
    coder,
    configured,
    one_stage_neck,
    trunk_names,
)

NETWORK = "RetinaNet"
_FIXED: Mapping[str, tuple[Any, ...]] = {
    **ONE_STAGE,
    "MODEL.BACKBONE.NAME": ("build_retinanet_resnet_fpn_backbone",),
    "MODEL.RETINANET.IN_FEATURES": (["p3", "p4", "p5", "p6", "p7"],),
    "MODEL.RETINANET.NORM": ("",),
}
_TRAINING = ("PRIOR_PROB", "IOU_THRESHOLDS", "IOU_LABELS", "BBOX_REG_LOSS_TYPE")
_LOSSES = ("FOCAL_LOSS_GAMMA", "FOCAL_LOSS_ALPHA", "SMOOTH_L1_LOSS_BETA")
_READ = (
    *("IN_FEATURES", "NORM", "NUM_CLASSES", "NUM_CONVS", "BBOX_REG_WEIGHTS"),
    *("SCORE_THRESH_TEST", "TOPK_CANDIDATES_TEST", "NMS_THRESH_TEST"),
)
_FACTS = {
    "network": "MODEL",
    "input": "INPUT, MODEL.PIXEL_MEAN, MODEL.PIXEL_STD",
    "classes": "MODEL.RETINANET.NUM_CLASSES",
    "thresholds": "MODEL.RETINANET, TEST.DETECTIONS_PER_IMAGE",
}


def translate(keys: Keys) -> Translation:
    keys.fixed(_FIXED, absent=("MODEL.RETINANET.NORM",))
    keys.only("MODEL.RETINANET", (*_READ, *_TRAINING, *_LOSSES))
    stacked, channels = keys.whole("MODEL.RETINANET.NUM_CONVS", 64), keys.whole("MODEL.FPN.OUT_CHANNELS")
    head = {
        "type": "RetinaHead",
        "num_classes": keys.whole("MODEL.RETINANET.NUM_CLASSES"),
        "in_channels": channels,
        "feat_channels": channels,
        "stacked_convs": stacked,
        "anchor_generator": anchors(keys, ONE_STAGE_STRIDES),
        "bbox_coder": coder(keys, "MODEL.RETINANET.BBOX_REG_WEIGHTS"),
    }
    test = {
        "score_thr": keys["MODEL.RETINANET.SCORE_THRESH_TEST"],
        "nms_pre": keys.whole("MODEL.RETINANET.TOPK_CANDIDATES_TEST"),
        "nms": {"type": "nms", "iou_threshold": keys["MODEL.RETINANET.NMS_THRESH_TEST"]},
        "max_per_img": keys.whole("TEST.DETECTIONS_PER_IMAGE"),
    }
    neck = one_stage_neck(keys, "on_input")
    model = {"type": "RetinaNet", "backbone": backbone(keys), "neck": neck, "bbox_head": head, "test_cfg": test}
    unused = (*Translation.unused, "^anchor_generator.")
    return Translation(configured(keys, model), _FACTS, _names(stacked), unused)


def _names(stacked: int) -> dict[str, str]:
    """Detectron2's names of weights to ours; its towers are lists of convolutions and ReLUs."""
    towers = {
        f"^head.{theirs}_subnet.{2 * i}.": f"bbox_head.{ours}_convs.{i}.conv."
        for theirs, ours in (("cls", "cls"), ("bbox", "reg"))
        for i in range(stacked)
    }
    last = {"^head.cls_score.": "bbox_head.retina_cls.", "^head.bbox_pred.": "bbox_head.retina_reg."}
    return {**trunk_names(3), **towers, **last}
