"""Configurations of small networks, as the frameworks dump them."""

from typing import Any

from detforge.models.skeletons import COCO_PERSON

STRIDES = (8, 16, 32, 64, 128)


def anchors(**changes: Any) -> dict[str, Any]:
    one = {"type": "AnchorGenerator", "octave_base_scale": 8, "scales_per_octave": 1, "ratios": (1.0,)}
    return one | {"strides": STRIDES} | changes


_GROUPS = {"type": "GN", "num_groups": 4, "requires_grad": True}
HEADS: dict[str, dict[str, Any]] = {
    "GFLHead": {"anchor_generator": anchors()},
    "RetinaHead": {"anchor_generator": anchors(ratios=(0.5, 1.0, 2.0), scales_per_octave=2)},
    "FCOSHead": {"strides": STRIDES},
    "ATSSHead": {"anchor_generator": anchors()},
    "VFNetHead": {"strides": STRIDES},
    "AutoAssignHead": {"strides": STRIDES},
}


def dense(head: str, *, backbone: Any = (), neck: Any = (), **changes: Any) -> dict[str, Any]:
    """What stands under `model` of a dense detector on a narrow ResNet-18."""
    trunk = {"type": "ResNet", "depth": 18, "base_channels": 8, "norm_cfg": {"type": "BN", "requires_grad": True}}
    pyramid = {"type": "FPN", "in_channels": (8, 16, 32, 64), "out_channels": 32, "start_level": 1, "num_outs": 5}
    common = {"type": head, "num_classes": 3, "in_channels": 32, "feat_channels": 16, "stacked_convs": 1}
    if head != "RetinaHead":
        common["norm_cfg"] = _GROUPS
    return {
        "type": "mmdet.SingleStageDetector",
        "backbone": trunk | dict(backbone),
        "neck": pyramid | {"add_extra_convs": "on_output"} | dict(neck),
        "bbox_head": common | HEADS[head] | changes,
    }


def pose(head: dict[str, Any], backbone: dict[str, Any]) -> dict[str, Any]:
    """What stands under `model` of a top-down pose network."""
    return {"type": "TopdownPoseEstimator", "backbone": backbone, "head": head}


DECODER = {"type": "MSRAHeatmap", "input_size": (64, 96), "heatmap_size": (16, 24), "sigma": 2}
TRUNK = {"type": "ResNet", "depth": 18, "base_channels": 8, "stem_channels": 8}
SIMPLE = {"type": "HeatmapHead", "in_channels": 64, "out_channels": 5, "deconv_out_channels": (16, 16, 16)}
SIMPLE |= {"deconv_kernel_sizes": (4, 4, 4), "decoder": DECODER, "loss": {"type": "KeypointMSELoss"}}

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
LOAD, PACK = {"type": "LoadImageFromFile", "backend_args": None}, {"type": "mmdet.PackDetInputs"}
NORM = {"type": "DetDataPreprocessor", "mean": MEAN, "std": STD, "bgr_to_rgb": True, "pad_size_divisor": 32}


def new(*steps, **dataset):
    """The transforms of a configuration of mmdet 3.x."""
    return {"test_dataloader": {"dataset": {"type": "CocoDataset", "pipeline": (LOAD, *steps, PACK), **dataset}}}


def old(*steps, **aug):
    """Those of mmdet 2.x."""
    flip = {"type": "MultiScaleFlipAug", "img_scale": (1333, 800), "flip": False, "transforms": steps} | aug
    return {"data": {"test": {"type": "CocoDataset", "pipeline": ({"type": "LoadImageFromFile"}, flip)}}}


def resize(**changes):
    return {"type": "Resize", "scale": (1333, 800), "keep_ratio": True} | changes


def tuples(data):
    """Data of a configuration as it is read: all sequences are tuples."""
    if isinstance(data, dict):
        return {key: tuples(value) for key, value in data.items()}
    return tuple(map(tuples, data)) if isinstance(data, list) else data


def hrnet(width: int, modules: tuple[int, int, int] = (1, 4, 3)) -> dict[str, Any]:
    """mmpose's HRNet, by default as published."""
    stages = {"stage1": {"num_modules": 1, "num_branches": 1, "block": "BOTTLENECK"}}
    stages["stage1"] |= {"num_blocks": (4,), "num_channels": (64,)}
    for branches, count in enumerate(modules, 2):
        channels = tuple(width << branch for branch in range(branches))
        stage = {"num_modules": count, "num_branches": branches, "block": "BASIC", "num_channels": channels}
        stages[f"stage{branches}"] = stage | {"num_blocks": (4,) * branches}
    return {"type": "HRNet", "in_channels": 3, "extra": stages}


def bottom_up_old(
    *, higher: bool = False, width: int = 32, size: int = 512, udp: bool = False, **backbone: Any
) -> dict[str, Any]:
    """A configuration of associative embedding of mmpose 0.x."""
    tagged = (True, False) if higher else (True,)
    head = {"type": "AESimpleHead", "in_channels": width, "num_joints": 17, "tag_per_joint": True}
    head |= {"num_deconv_layers": 0, "with_ae_loss": tagged, "extra": {"final_conv_kernel": 1}, "loss_keypoint": {}}
    if higher:
        head |= {"type": "AEHigherResolutionHead", "num_deconv_layers": 1, "num_deconv_filters": (width,)}
        head |= {"num_deconv_kernels": (4,), "num_basic_blocks": 4, "cat_output": (True,)}
    test = {"num_joints": 17, "max_num_people": 30, "scale_factor": (1,), "with_heatmaps": (True,) * len(tagged)}
    test |= {"with_ae": tagged, "project2image": not udp, "align_corners": udp, "nms_kernel": 5, "nms_padding": 2}
    test |= {"tag_per_joint": True, "detection_threshold": 0.1, "tag_threshold": 1, "use_detection_val": True}
    test |= {"ignore_too_much": False, "adjust": True, "refine": True, "flip_test": True, "use_udp": udp}
    normal = {"type": "NormalizeTensor", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    steps = (
        {"type": "LoadImageFromFile"},
        {"type": "BottomUpGetImgSize", "test_scale_factor": (1,), "use_udp": udp},
        {"type": "BottomUpResizeAlign", "transforms": ({"type": "ToTensor"}, normal), "use_udp": udp},
        {"type": "Collect", "keys": ("img",), "meta_keys": ("image_file",)},
    )
    model = {
        "type": "AssociativeEmbedding",
        "backbone": hrnet(width, **backbone),
        "keypoint_head": head,
        "test_cfg": test,
    }
    return {
        "model": model,
        "data_cfg": {"image_size": size, "heatmap_size": (128,)},
        "data": {"test": {"type": "BottomUpCocoDataset", "pipeline": steps}},
    }


COCO_META = {
    "dataset_meta": {
        "keypoint_name2id": {name: i for i, name in enumerate(COCO_PERSON.keypoints)},
        "flip_indices": list(COCO_PERSON.mirrored()),
        "skeleton_links": [list(link) for link in COCO_PERSON.links],
        "sigmas": list(COCO_PERSON.sigmas),
    }
}


def bottom_up_new(
    head: dict[str, Any], codec: dict[str, Any], test: dict[str, Any], *, width: int, size: int, **modules: Any
) -> dict[str, Any]:
    """A configuration of mmpose 1.x of a head on all levels of an HRNet."""
    backbone = hrnet(width, **modules)
    backbone["extra"]["stage4"]["multiscale_output"] = True
    codec = codec | {"input_size": (size, size), "heatmap_size": (size // 4,) * 2}
    model = {
        "type": "BottomupPoseEstimator",
        "data_preprocessor": {"type": "PoseDataPreprocessor", "mean": MEAN, "std": STD, "bgr_to_rgb": True},
        "backbone": backbone,
        "neck": {"type": "FeatureMapProcessor", "concat": True},
        "head": head | {"in_channels": 15 * width, "num_keypoints": 17, "decoder": codec},
        "test_cfg": {"multiscale_test": False, "align_corners": False} | test,
    }
    steps = (
        {"type": "LoadImage"},
        {"type": "BottomupResize", "input_size": (size, size), "size_factor": 32, "resize_mode": "expand"},
        {"type": "PackPoseInputs", "meta_keys": ("id",)},
    )
    return {"model": model, "test_dataloader": {"dataset": {"type": "CocoDataset", "pipeline": steps}}}
