"""Configurations of Detectron2: the config.yaml that its training writes, translated to one of OpenMMLab.

Faster R-CNN with a feature pyramid is supported. It is OpenMMLab's network under other names, on images that Pillow
resizes.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .section import shown
from .text import ConfigError, Text, UnknownNetworkError, check_length
from .variant import Described, describe

_DUMPED = "give the config.yaml of the training's output folder"
_NETWORK = "GeneralizedRCNN"
_LEVELS = ["res2", "res3", "res4", "res5"]
_PYRAMID = ["p2", "p3", "p4", "p5"]
_FIXED: Mapping[str, tuple[Any, ...]] = {
    "MODEL.MASK_ON": (False,),
    "MODEL.KEYPOINT_ON": (False,),
    "MODEL.LOAD_PROPOSALS": (False,),
    "MODEL.BACKBONE.NAME": ("build_resnet_fpn_backbone",),
    "MODEL.RESNETS.OUT_FEATURES": (_LEVELS,),
    "MODEL.RESNETS.NORM": ("FrozenBN", "BN", "SyncBN", "nnSyncBN"),
    "MODEL.RESNETS.STEM_OUT_CHANNELS": (64,),
    "MODEL.RESNETS.RES2_OUT_CHANNELS": (256,),
    "MODEL.RESNETS.RES5_DILATION": (1,),
    "MODEL.RESNETS.DEFORM_ON_PER_STAGE": ([False] * 4,),
    "MODEL.FPN.IN_FEATURES": (_LEVELS,),
    "MODEL.FPN.NORM": ("",),
    "MODEL.FPN.FUSE_TYPE": ("sum",),
    "MODEL.PROPOSAL_GENERATOR.NAME": ("RPN",),
    "MODEL.PROPOSAL_GENERATOR.MIN_SIZE": (0,),
    "MODEL.ANCHOR_GENERATOR.NAME": ("DefaultAnchorGenerator",),
    "MODEL.RPN.HEAD_NAME": ("StandardRPNHead",),
    "MODEL.RPN.IN_FEATURES": ([*_PYRAMID, "p6"],),
    "MODEL.ROI_HEADS.NAME": ("StandardROIHeads",),
    "MODEL.ROI_HEADS.IN_FEATURES": (_PYRAMID,),
    "MODEL.ROI_BOX_HEAD.NAME": ("FastRCNNConvFCHead",),
    "MODEL.ROI_BOX_HEAD.NUM_CONV": (0,),
    "MODEL.ROI_BOX_HEAD.NUM_FC": (2,),
    "MODEL.ROI_BOX_HEAD.NORM": ("",),
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": ("ROIAlign", "ROIAlignV2"),
    "INPUT.FORMAT": ("BGR", "RGB"),
    "TEST.AUG.ENABLED": (False,),
}
"""Keys and the values that are supported."""
_IF_PRESENT = {"MODEL.RPN.CONV_DIMS": ([-1],), "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE": (False,)}
"""The same, of keys that older versions lack."""

MAPPING: Mapping[str, str] = {
    "^backbone.bottom_up.stem.conv1.norm.": "backbone.bn1.",
    "^backbone.bottom_up.stem.": "backbone.",
    **{f"^backbone.bottom_up.res{i + 1}.": f"backbone.layer{i}." for i in range(1, 5)},
    **{f".conv{i}.norm.": f".bn{i}." for i in (1, 2, 3)},
    ".shortcut.norm.": ".downsample.1.",
    ".shortcut.": ".downsample.0.",
    **{f"^backbone.fpn_lateral{i + 2}.": f"neck.lateral_convs.{i}.conv." for i in range(4)},
    **{f"^backbone.fpn_output{i + 2}.": f"neck.fpn_convs.{i}.conv." for i in range(4)},
    "^proposal_generator.rpn_head.conv.": "rpn_head.rpn_conv.",
    "^proposal_generator.rpn_head.objectness_logits.": "rpn_head.rpn_cls.",
    "^proposal_generator.rpn_head.anchor_deltas.": "rpn_head.rpn_reg.",
    "^roi_heads.box_head.fc1.": "roi_head.bbox_head.shared_fcs.0.",
    "^roi_heads.box_head.fc2.": "roi_head.bbox_head.shared_fcs.1.",
    "^roi_heads.box_predictor.cls_score.": "roi_head.bbox_head.fc_cls.",
    "^roi_heads.box_predictor.bbox_pred.": "roi_head.bbox_head.fc_reg.",
}
"""Detectron2's names of weights to ours."""
UNUSED = ("^pixel_mean", "^pixel_std", "^proposal_generator.anchor_generator.")


def describe_yaml(text: str, meta: Mapping[str, Any]) -> Described:
    """The variant that a config.yaml describes, with Detectron2's names of weights.

    Raises ConfigError for text that is no such file, and for a value that is not supported.
    """
    described = describe(read_yaml(text), meta)
    facts = tuple(replace(fact, keys=_KEYS[fact.what]) for fact in described.facts)
    return Described(replace(described.variant, mapping=MAPPING, unused=UNUSED), facts)


_KEYS = {
    "network": "MODEL",
    "input": "INPUT, MODEL.PIXEL_MEAN, MODEL.PIXEL_STD",
    "classes": "MODEL.ROI_HEADS.NUM_CLASSES",
    "thresholds": "MODEL.ROI_HEADS, TEST.DETECTIONS_PER_IMAGE",
}


def read_yaml(text: str) -> Text:
    """The equivalent OpenMMLab configuration of a config.yaml."""
    import yaml

    check_length(text, _DUMPED)
    try:
        values: Any = yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        where = getattr(error, "problem_mark", None)
        line = f"line {where.line + 1}: " if where else ""
        raise ConfigError(f"{line}it is no plain YAML ({type(error).__name__}); {_DUMPED}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"it has no keys; {_DUMPED}")
    if "_BASE_" in values:
        raise ConfigError(f"it inherits from {shown(values['_BASE_'])}; {_DUMPED}, which is whole")
    return Text(_translated(_Keys(values)), {})


class _Keys:
    """The values of a configuration by their dotted names."""

    def __init__(self, values: Mapping[Any, Any]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def __getitem__(self, name: str) -> Any:
        value = self._find(name)
        return self.refuse(name, "a value") if value is None else value

    def _find(self, name: str) -> Any:
        value: Any = self._values
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def whole(self, name: str, most: int = 1 << 16) -> int:
        value = self[name]
        return value if type(value) is int and 1 <= value <= most else self.refuse(name, f"a whole number, 1 to {most}")

    def numbers(self, name: str, count: int | None = None) -> tuple[float, ...]:
        value = self[name]
        fits = isinstance(value, list) and all(type(each) in (int, float) for each in value)
        if not fits or count not in (None, len(value)):
            self.refuse(name, "numbers" if count is None else f"{count} numbers")
        return tuple(value)

    def refuse(self, name: str, supported: str) -> Any:
        found = self._find(name)
        raise ConfigError(f"{name} is {'missing' if found is None else shown(found)}; supported: {supported}")


def _translated(keys: _Keys) -> dict[str, Any]:
    network = keys["MODEL.META_ARCHITECTURE"]
    if network != _NETWORK:
        raise UnknownNetworkError(f"MODEL.META_ARCHITECTURE is {shown(network)}; supported: {_NETWORK}")
    for name, supported in (_FIXED | {key: own for key, own in _IF_PRESENT.items() if key in keys}).items():
        if keys[name] not in supported:
            keys.refuse(name, ", ".join(map(shown, supported)))
    short, long = keys.whole("INPUT.MIN_SIZE_TEST"), keys.whole("INPUT.MAX_SIZE_TEST")
    resize = {"type": "Resize", "scale": (long, short), "keep_ratio": True, "backend": "pillow"}
    images = ({"type": "LoadImageFromFile"}, resize, {"type": "PackDetInputs"})
    preprocessor = {
        "type": "DetDataPreprocessor",
        "mean": keys.numbers("MODEL.PIXEL_MEAN", 3),
        "std": keys.numbers("MODEL.PIXEL_STD", 3),
        "bgr_to_rgb": keys["INPUT.FORMAT"] == "RGB",
        "pad_size_divisor": 32,
    }
    channels = keys.whole("MODEL.FPN.OUT_CHANNELS")
    model = {
        "type": "FasterRCNN",
        "data_preprocessor": preprocessor,
        "backbone": _backbone(keys),
        "neck": {"type": "FPN", "in_channels": (256, 512, 1024, 2048), "out_channels": channels, "num_outs": 5},
        "rpn_head": _rpn_head(keys, channels),
        "roi_head": _roi_head(keys, channels),
        "test_cfg": {"rpn": _proposals(keys), "rcnn": _detections(keys)},
    }
    return {"model": model, "test_dataloader": {"dataset": {"type": "CocoDataset", "pipeline": images}}}


def _backbone(keys: _Keys) -> dict[str, Any]:
    groups = keys.whole("MODEL.RESNETS.NUM_GROUPS")
    grouped = {"groups": groups, "base_width": keys.whole("MODEL.RESNETS.WIDTH_PER_GROUP")} if groups > 1 else {}
    if groups == 1 and keys.whole("MODEL.RESNETS.WIDTH_PER_GROUP") != 64:
        keys.refuse("MODEL.RESNETS.WIDTH_PER_GROUP", "64, where there is one group")
    depth = keys["MODEL.RESNETS.DEPTH"]
    if depth not in (50, 101, 152):
        keys.refuse("MODEL.RESNETS.DEPTH", "50, 101, 152")
    style = "caffe" if keys["MODEL.RESNETS.STRIDE_IN_1X1"] else "pytorch"
    return {"type": "ResNeXt" if grouped else "ResNet", "depth": depth, "style": style, **grouped}


def _rpn_head(keys: _Keys, channels: int) -> dict[str, Any]:
    sizes = keys["MODEL.ANCHOR_GENERATOR.SIZES"]
    if sizes not in ([[8 * stride] for stride in _STRIDES], [[8.0 * stride] for stride in _STRIDES]):
        keys.refuse("MODEL.ANCHOR_GENERATOR.SIZES", shown([[8 * stride] for stride in _STRIDES]))
    ratios = keys["MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS"]
    if not (isinstance(ratios, list) and len(ratios) == 1 and isinstance(ratios[0], list)):
        keys.refuse("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", "one list of ratios for all levels")
    anchors = {
        "type": "AnchorGenerator",
        "scales": (8,),
        "ratios": tuple(ratios[0]),
        "strides": _STRIDES,
        "center_offset": keys["MODEL.ANCHOR_GENERATOR.OFFSET"],
    }
    coder = {"type": "DeltaXYWHBBoxCoder", "target_stds": _stds(keys, "MODEL.RPN.BBOX_REG_WEIGHTS")}
    head = {"type": "RPNHead", "in_channels": channels, "feat_channels": channels}
    return head | {"anchor_generator": anchors, "bbox_coder": coder}


_STRIDES = (4, 8, 16, 32, 64)


def _stds(keys: _Keys, name: str) -> tuple[float, ...]:
    """The weights of deltas, by which Detectron2 divides and OpenMMLab multiplies."""
    weights = keys.numbers(name, 4)
    return tuple(1 / weight if weight > 0 else keys.refuse(name, "numbers above 0") for weight in weights)


def _roi_head(keys: _Keys, channels: int) -> dict[str, Any]:
    size, points = keys.whole("MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION"), keys["MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO"]
    layer = {
        "type": "RoIAlign",
        "output_size": size,
        "sampling_ratio": points,
        "aligned": keys["MODEL.ROI_BOX_HEAD.POOLER_TYPE"] == "ROIAlignV2",
    }
    extractor = {"type": "SingleRoIExtractor", "roi_layer": layer, "out_channels": channels}
    head = {
        "type": "Shared2FCBBoxHead",
        "in_channels": channels,
        "fc_out_channels": keys.whole("MODEL.ROI_BOX_HEAD.FC_DIM"),
        "roi_feat_size": size,
        "num_classes": keys.whole("MODEL.ROI_HEADS.NUM_CLASSES"),
        "reg_class_agnostic": keys["MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG"],
        "bbox_coder": {
            "type": "DeltaXYWHBBoxCoder",
            "target_stds": _stds(keys, "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS"),
        },
    }
    return {
        "type": "StandardRoIHead",
        "bbox_roi_extractor": extractor | {"featmap_strides": _STRIDES[:4]},
        "bbox_head": head,
    }


def _proposals(keys: _Keys) -> dict[str, Any]:
    return {
        "nms_pre": keys.whole("MODEL.RPN.PRE_NMS_TOPK_TEST"),
        "max_per_img": keys.whole("MODEL.RPN.POST_NMS_TOPK_TEST"),
        "nms": {"type": "nms", "iou_threshold": keys["MODEL.RPN.NMS_THRESH"]},
        "min_bbox_size": 0,
    }


def _detections(keys: _Keys) -> dict[str, Any]:
    return {
        "score_thr": keys["MODEL.ROI_HEADS.SCORE_THRESH_TEST"],
        "nms": {"type": "nms", "iou_threshold": keys["MODEL.ROI_HEADS.NMS_THRESH_TEST"]},
        "max_per_img": keys.whole("TEST.DETECTIONS_PER_IMAGE"),
    }
