"""What networks of Detectron2 share: the images, the ResNet with its pyramid, anchors and deltas."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....deploy.contract.fusion import Fusion
from .keys import Keys

_FIXED: Mapping[str, tuple[Any, ...]] = {
    "MODEL.MASK_ON": (False,),
    "MODEL.KEYPOINT_ON": (False,),
    "MODEL.LOAD_PROPOSALS": (False,),
    "MODEL.RESNETS.NORM": ("FrozenBN", "BN", "SyncBN", "nnSyncBN"),
    "MODEL.RESNETS.STEM_OUT_CHANNELS": (64,),
    "MODEL.RESNETS.RES2_OUT_CHANNELS": (256,),
    "MODEL.RESNETS.RES5_DILATION": (1,),
    "MODEL.RESNETS.DEFORM_ON_PER_STAGE": ([False] * 4,),
    "MODEL.FPN.NORM": ("",),
    "MODEL.FPN.FUSE_TYPE": ("sum",),
    "MODEL.BACKBONE.ANTI_ALIAS": (False,),
    "INPUT.FORMAT": ("BGR", "RGB"),
    "TEST.AUG.ENABLED": (False,),
}
"""Keys and the values that are supported, in every network."""


@dataclass(frozen=True)
class Translation:
    """The OpenMMLab configuration, the keys that each fact was read from, and the names of weights.

    `mapping` and `unused` are those of `Variant`; `fusion` replaces that of the configuration.
    """

    values: Mapping[str, Any]
    facts: Mapping[str, str]
    mapping: Mapping[str, str]
    unused: tuple[str, ...] = ("^pixel_mean", "^pixel_std")
    fusion: Fusion | None = None


def check(keys: Keys) -> None:
    """Refuse the values that no network here has."""
    keys.fixed(_FIXED, absent=("MODEL.BACKBONE.ANTI_ALIAS",))


def configured(keys: Keys, model: Mapping[str, Any], multiple: int = 32) -> dict[str, Any]:
    """The whole configuration of a model without images, which are padded to a `multiple` of px."""
    short, long = keys.whole("INPUT.MIN_SIZE_TEST"), keys.whole("INPUT.MAX_SIZE_TEST")
    resize = {"type": "Resize", "scale": (long, short), "keep_ratio": True, "backend": "pillow"}
    images = ({"type": "LoadImageFromFile"}, resize, {"type": "PackDetInputs"})
    preprocessor = {
        "type": "DetDataPreprocessor",
        "mean": keys.numbers("MODEL.PIXEL_MEAN", 3),
        "std": keys.numbers("MODEL.PIXEL_STD", 3),
        "bgr_to_rgb": keys["INPUT.FORMAT"] == "RGB",
        "pad_size_divisor": multiple,
    }
    dataset = {"type": "CocoDataset", "pipeline": images}
    return {"model": {"data_preprocessor": preprocessor, **model}, "test_dataloader": {"dataset": dataset}}


def backbone(keys: Keys) -> dict[str, Any]:
    groups = keys.whole("MODEL.RESNETS.NUM_GROUPS")
    grouped = {"groups": groups, "base_width": keys.whole("MODEL.RESNETS.WIDTH_PER_GROUP")} if groups > 1 else {}
    if groups == 1 and keys.whole("MODEL.RESNETS.WIDTH_PER_GROUP") != 64:
        keys.refuse("MODEL.RESNETS.WIDTH_PER_GROUP", "64, where there is one group")
    depth = keys["MODEL.RESNETS.DEPTH"]
    if depth not in (50, 101, 152):
        keys.refuse("MODEL.RESNETS.DEPTH", "50, 101, 152")
    style = "caffe" if keys["MODEL.RESNETS.STRIDE_IN_1X1"] else "pytorch"
    return {"type": "ResNeXt" if grouped else "ResNet", "depth": depth, "style": style, **grouped}


ONE_STAGE_STRIDES = (8, 16, 32, 64, 128)
_LEVELS = ["res3", "res4", "res5"]
ONE_STAGE: Mapping[str, tuple[Any, ...]] = {
    "MODEL.RESNETS.OUT_FEATURES": (_LEVELS,),
    "MODEL.FPN.IN_FEATURES": (_LEVELS,),
}
"""The values that networks of one stage have."""


def one_stage_neck(keys: Keys, source: str) -> dict[str, Any]:
    """A pyramid of three levels and two more, which start from `source`."""
    return {
        "type": "FPN",
        "in_channels": (256, 512, 1024, 2048),
        "out_channels": keys.whole("MODEL.FPN.OUT_CHANNELS"),
        "start_level": 1,
        "num_outs": 5,
        "add_extra_convs": source,
        "relu_before_extra_convs": True,
    }


def anchors(keys: Keys, strides: tuple[int, ...]) -> dict[str, Any]:
    """The generator of anchors on levels of these strides."""
    keys.fixed({"MODEL.ANCHOR_GENERATOR.NAME": ("DefaultAnchorGenerator",)})
    sizes = keys.lists("MODEL.ANCHOR_GENERATOR.SIZES")
    ratios = keys.lists("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS")
    scales = tuple(size / strides[0] for size in sizes[0])
    expected = [scale * stride for stride in strides for scale in scales]
    found = [size for level in sizes for size in level]
    if len(sizes) != len(strides) or any(abs(a / b - 1) > 1e-6 for a, b in zip(found, expected, strict=True)):
        keys.refuse("MODEL.ANCHOR_GENERATOR.SIZES", f"sizes that grow with the strides {strides} of the levels")
    if len(ratios) not in (1, len(strides)) or len(set(ratios)) > 1:
        keys.refuse("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", "one list of ratios for all levels")
    return {
        "type": "AnchorGenerator",
        "scales": scales,
        "ratios": ratios[0],
        "strides": strides,
        "center_offset": keys["MODEL.ANCHOR_GENERATOR.OFFSET"],
        "scale_major": False,
    }


def coder(keys: Keys, name: str) -> dict[str, Any]:
    """The coder of boxes with weights of deltas, by which Detectron2 divides and OpenMMLab multiplies."""
    weights = keys.numbers(name, 4)
    stds = tuple(1 / weight if weight > 0 else keys.refuse(name, "numbers above 0") for weight in weights)
    return {"type": "DeltaXYWHBBoxCoder", "target_stds": stds}


def resnet_names(at: str) -> dict[str, str]:
    """Detectron2's names of weights to ours, of a ResNet of this name."""
    return {
        f"^{at}.stem.conv1.norm.": "backbone.bn1.",
        f"^{at}.stem.": "backbone.",
        **{f"^{at}.res{i + 1}.": f"backbone.layer{i}." for i in range(1, 5)},
        **{f".conv{i}.norm.": f".bn{i}." for i in (1, 2, 3)},
        ".shortcut.norm.": ".downsample.1.",
        ".shortcut.": ".downsample.0.",
    }


def trunk_names(first: int) -> dict[str, str]:
    """Detectron2's names of weights to ours, of the ResNet and a pyramid that starts at level `first`."""
    pyramid = range(first, 6)
    return {
        **resnet_names("backbone.bottom_up"),
        **{f"^backbone.fpn_lateral{i}.": f"neck.lateral_convs.{i - first}.conv." for i in pyramid},
        **{f"^backbone.fpn_output{i}.": f"neck.fpn_convs.{i - first}.conv." for i in pyramid},
        **{f"^backbone.top_block.p{i}.": f"neck.fpn_convs.{i - first}.conv." for i in (6, 7)},
    }
