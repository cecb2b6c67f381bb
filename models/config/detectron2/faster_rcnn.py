"""Detectron2's Faster R-CNN with a feature pyramid, or on one level."""

from collections.abc import Mapping
from typing import Any

from .keys import Keys
from .parts import Translation, anchors, backbone, coder, configured, resnet_names, trunk_names

NETWORK = "GeneralizedRCNN"
_LEVELS = ["res2", "res3", "res4", "res5"]
_PYRAMID = ["p2", "p3", "p4", "p5"]
_STRIDES = (4, 8, 16, 32, 64)
_FIXED: Mapping[str, tuple[Any, ...]] = {
    "MODEL.PROPOSAL_GENERATOR.NAME": ("RPN",),
    "MODEL.PROPOSAL_GENERATOR.MIN_SIZE": (0,),
    "MODEL.RPN.HEAD_NAME": ("StandardRPNHead",),
    "MODEL.RPN.CONV_DIMS": ([-1],),
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": ("ROIAlign", "ROIAlignV2"),
    "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE": (False,),
}
_ON_PYRAMID: Mapping[str, tuple[Any, ...]] = {
    "MODEL.BACKBONE.NAME": ("build_resnet_fpn_backbone",),
    "MODEL.RESNETS.OUT_FEATURES": (_LEVELS,),
    "MODEL.FPN.IN_FEATURES": (_LEVELS,),
    "MODEL.RPN.IN_FEATURES": ([*_PYRAMID, "p6"],),
    "MODEL.ROI_HEADS.NAME": ("StandardROIHeads",),
    "MODEL.ROI_HEADS.IN_FEATURES": (_PYRAMID,),
    "MODEL.ROI_BOX_HEAD.NAME": ("FastRCNNConvFCHead",),
    "MODEL.ROI_BOX_HEAD.NUM_CONV": (0,),
    "MODEL.ROI_BOX_HEAD.NUM_FC": (2,),
    "MODEL.ROI_BOX_HEAD.NORM": ("",),
}
_ON_C4: Mapping[str, tuple[Any, ...]] = {
    "MODEL.BACKBONE.NAME": ("build_resnet_backbone",),
    "MODEL.RESNETS.NUM_GROUPS": (1,),
    "MODEL.RESNETS.OUT_FEATURES": (["res4"],),
    "MODEL.RPN.IN_FEATURES": (["res4"],),
    "MODEL.ROI_HEADS.IN_FEATURES": (["res4"],),
}
_ABSENT = ("MODEL.RPN.CONV_DIMS", "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE")
"""Keys that older versions lack."""
_FACTS = {
    "network": "MODEL",
    "input": "INPUT, MODEL.PIXEL_MEAN, MODEL.PIXEL_STD",
    "classes": "MODEL.ROI_HEADS.NUM_CLASSES",
    "thresholds": "MODEL.ROI_HEADS, TEST.DETECTIONS_PER_IMAGE",
}
_MAPPING = {
    "^proposal_generator.rpn_head.conv.": "rpn_head.rpn_conv.",
    "^proposal_generator.rpn_head.objectness_logits.": "rpn_head.rpn_cls.",
    "^proposal_generator.rpn_head.anchor_deltas.": "rpn_head.rpn_reg.",
    "^roi_heads.box_predictor.cls_score.": "roi_head.bbox_head.fc_cls.",
    "^roi_heads.box_predictor.bbox_pred.": "roi_head.bbox_head.fc_reg.",
}


def translate(keys: Keys) -> Translation:
    keys.fixed(_FIXED, absent=_ABSENT)
    on_c4 = keys["MODEL.ROI_HEADS.NAME"] == "Res5ROIHeads"
    keys.fixed(_ON_C4 if on_c4 else _ON_PYRAMID)
    model = {
        "type": "FasterRCNN",
        **(_on_c4(keys) if on_c4 else _on_pyramid(keys)),
        "test_cfg": {"rpn": _proposals(keys), "rcnn": _detections(keys)},
    }
    unused = (*Translation.unused, "^proposal_generator.anchor_generator.")
    if on_c4:
        names = {**resnet_names("backbone"), "^roi_heads.res5.": "roi_head.features.layer4.", **_MAPPING}
        return Translation(configured(keys, model, multiple=1), _FACTS, names, unused)
    layers = {f"^roi_heads.box_head.fc{i + 1}.": f"roi_head.bbox_head.shared_fcs.{i}." for i in range(2)}
    return Translation(configured(keys, model), _FACTS, {**trunk_names(2), **layers, **_MAPPING}, unused)


def _on_pyramid(keys: Keys) -> dict[str, Any]:
    """The network on a pyramid, whose regions pass two layers."""
    channels, size = keys.whole("MODEL.FPN.OUT_CHANNELS"), keys.whole("MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION")
    head = {
        "type": "Shared2FCBBoxHead",
        "in_channels": channels,
        "fc_out_channels": keys.whole("MODEL.ROI_BOX_HEAD.FC_DIM"),
        "roi_feat_size": size,
    }
    return {
        "backbone": backbone(keys),
        "neck": {"type": "FPN", "in_channels": (256, 512, 1024, 2048), "out_channels": channels, "num_outs": 5},
        "rpn_head": _rpn_head(keys, channels, _STRIDES),
        "roi_head": _roi_head(keys, channels, _STRIDES[:4], head),
    }


def _on_c4(keys: Keys) -> dict[str, Any]:
    """The network on the level C4, whose regions pass the last stage of the ResNet."""
    trunk, size = backbone(keys), keys.whole("MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION")
    stages = {"num_stages": 3, "strides": (1, 2, 2), "dilations": (1, 1, 1), "out_indices": (2,)}
    last = {"type": "ResLayer", "depth": trunk["depth"], "style": trunk["style"]}
    head = {"type": "BBoxHead", "with_avg_pool": True, "in_channels": 2048, "roi_feat_size": size // 2}
    return {
        "backbone": trunk | stages,
        "rpn_head": _rpn_head(keys, 1024, (16,)),
        "roi_head": _roi_head(keys, 1024, (16,), head) | {"shared_head": last},
    }


def _rpn_head(keys: Keys, channels: int, strides: tuple[int, ...]) -> dict[str, Any]:
    head = {"type": "RPNHead", "in_channels": channels, "feat_channels": channels}
    own = {"anchor_generator": anchors(keys, strides), "bbox_coder": coder(keys, "MODEL.RPN.BBOX_REG_WEIGHTS")}
    return head | own


def _roi_head(keys: Keys, channels: int, strides: tuple[int, ...], head: dict[str, Any]) -> dict[str, Any]:
    """A second stage on levels of these strides, with a `head` of its type and sizes."""
    size, points = keys.whole("MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION"), keys["MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO"]
    layer = {
        "type": "RoIAlign",
        "output_size": size,
        "sampling_ratio": points,
        "aligned": keys["MODEL.ROI_BOX_HEAD.POOLER_TYPE"] == "ROIAlignV2",
    }
    extractor = {"type": "SingleRoIExtractor", "roi_layer": layer, "out_channels": channels}
    boxes = {
        "num_classes": keys.whole("MODEL.ROI_HEADS.NUM_CLASSES"),
        "reg_class_agnostic": keys["MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG"],
        "bbox_coder": coder(keys, "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS"),
    }
    return {
        "type": "StandardRoIHead",
        "bbox_roi_extractor": extractor | {"featmap_strides": strides},
        "bbox_head": head | boxes,
    }


def _proposals(keys: Keys) -> dict[str, Any]:
    return {
        "nms_pre": keys.whole("MODEL.RPN.PRE_NMS_TOPK_TEST"),
        "max_per_img": keys.whole("MODEL.RPN.POST_NMS_TOPK_TEST"),
        "nms": {"type": "nms", "iou_threshold": keys["MODEL.RPN.NMS_THRESH"]},
        "min_bbox_size": 0,
    }


def _detections(keys: Keys) -> dict[str, Any]:
    return {
        "score_thr": keys["MODEL.ROI_HEADS.SCORE_THRESH_TEST"],
        "nms": {"type": "nms", "iou_threshold": keys["MODEL.ROI_HEADS.NMS_THRESH_TEST"]},
        "max_per_img": keys.whole("TEST.DETECTIONS_PER_IMAGE"),
    }
