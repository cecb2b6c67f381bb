"""AdelaiDet's FCOS: boxes are suppressed first, and clipped last."""

import math
from collections.abc import Mapping
from typing import Any

from ....deploy.contract.fusion import Fusion
from .keys import Keys
from .parts import ONE_STAGE, ONE_STAGE_STRIDES, Translation, backbone, configured, one_stage_neck, trunk_names

NETWORK = "OneStageDetector"
_FIXED: Mapping[str, tuple[Any, ...]] = {
    **ONE_STAGE,
    "MODEL.BACKBONE.NAME": ("build_fcos_resnet_fpn_backbone",),
    "MODEL.PROPOSAL_GENERATOR.NAME": ("FCOS",),
    "MODEL.FCOS.IN_FEATURES": (["p3", "p4", "p5", "p6", "p7"],),
    "MODEL.FCOS.FPN_STRIDES": ([*ONE_STAGE_STRIDES],),
    "MODEL.FCOS.TOP_LEVELS": (2,),
    "MODEL.FCOS.NORM": ("GN",),
    "MODEL.FCOS.USE_SCALE": (True,),
    "MODEL.FCOS.USE_RELU": (True,),
    "MODEL.FCOS.NUM_SHARE_CONVS": (0,),
    "MODEL.FCOS.USE_DEFORMABLE": (False,),
    "MODEL.FCOS.BOX_QUALITY": ("ctrness",),
    "MODEL.FCOS.THRESH_WITH_CTR": (True, False),
    "MODEL.FCOS.YIELD_PROPOSAL": (False,),
    "MODEL.FCOS.YIELD_BOX_FEATURES": (False,),
}
_ABSENT = tuple(f"MODEL.FCOS.{key}" for key in ("BOX_QUALITY", "USE_RELU", "YIELD_PROPOSAL", "YIELD_BOX_FEATURES"))
"""Keys that some versions lack."""
_TRAINING = (
    *("PRIOR_PROB", "INFERENCE_TH_TRAIN", "PRE_NMS_TOPK_TRAIN", "POST_NMS_TOPK_TRAIN", "LOSS_ALPHA", "LOSS_GAMMA"),
    *("LOSS_NORMALIZER_CLS", "LOSS_WEIGHT_CLS", "LOC_LOSS_TYPE", "CENTER_SAMPLE", "POS_RADIUS", "SIZES_OF_INTEREST"),
)
_READ = (
    *("NUM_CLASSES", "NUM_CLS_CONVS", "NUM_BOX_CONVS", "INFERENCE_TH_TEST", "NMS_TH"),
    *("PRE_NMS_TOPK_TEST", "POST_NMS_TOPK_TEST"),
)
_FACTS = {
    "network": "MODEL",
    "input": "INPUT, MODEL.PIXEL_MEAN, MODEL.PIXEL_STD",
    "classes": "MODEL.FCOS.NUM_CLASSES",
    "thresholds": "MODEL.FCOS",
}


def translate(keys: Keys) -> Translation:
    keys.fixed(_FIXED, absent=_ABSENT)
    fixed = (name.removeprefix("MODEL.FCOS.") for name in _FIXED)
    keys.only("MODEL.FCOS", {*fixed, *_READ, *_TRAINING})
    stacked, channels = keys.whole("MODEL.FCOS.NUM_CLS_CONVS", 64), keys.whole("MODEL.FPN.OUT_CHANNELS")
    keys.fixed({"MODEL.FCOS.NUM_BOX_CONVS": (stacked,)})
    head = {
        "type": "FCOSHead",
        "num_classes": keys.whole("MODEL.FCOS.NUM_CLASSES"),
        "in_channels": channels,
        "feat_channels": channels,
        "stacked_convs": stacked,
        "strides": ONE_STAGE_STRIDES,
        "norm_on_bbox": True,
        "centerness_on_reg": True,
        "conv_bias": True,
    }
    together = keys["MODEL.FCOS.THRESH_WITH_CTR"]
    test = {
        "score_thr": _threshold(keys, together),
        "nms_pre": keys.whole("MODEL.FCOS.PRE_NMS_TOPK_TEST"),
        "nms": {"type": "nms", "iou_threshold": keys["MODEL.FCOS.NMS_TH"]},
        "max_per_img": keys.whole("MODEL.FCOS.POST_NMS_TOPK_TEST"),
    }
    neck = one_stage_neck(keys, "on_output")
    model = {"type": "FCOS", "backbone": backbone(keys), "neck": neck, "bbox_head": head, "test_cfg": test}
    fusion = Fusion(0.5, 0.5, threshold_by="fused" if together else "score", rank_by="fused")
    return Translation(configured(keys, model), _FACTS, _names(stacked), fusion=fusion)


def _threshold(keys: Keys, together: bool) -> float:
    """The threshold of scores. That of their product with the centre-ness comes before its square root."""
    value = keys["MODEL.FCOS.INFERENCE_TH_TEST"]
    if type(value) not in (int, float) or not 0 <= value <= 1:
        keys.refuse("MODEL.FCOS.INFERENCE_TH_TEST", "a number of 0 to 1")
    return math.sqrt(value) if together else value


def _names(stacked: int) -> dict[str, str]:
    """AdelaiDet's names of weights to ours; its towers are lists of convolutions, norms and ReLUs."""
    head = "^proposal_generator.fcos_head."
    towers = {
        f"{head}{theirs}_tower.{3 * i + j}.": f"bbox_head.{ours}_convs.{i}.{part}."
        for theirs, ours in (("cls", "cls"), ("bbox", "reg"))
        for i in range(stacked)
        for j, part in enumerate(("conv", "gn"))
    }
    layers = {"cls_logits": "conv_cls", "bbox_pred": "conv_reg", "ctrness": "conv_centerness", "scales": "scales"}
    return {**trunk_names(3), **towers, **{f"{head}{key}.": f"bbox_head.{own}." for key, own in layers.items()}}
