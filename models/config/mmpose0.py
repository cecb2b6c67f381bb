"""Conversion of configurations of mmpose 0.x to the keys of 1.x."""

from collections.abc import Mapping
from typing import Any

from .section import Section

_VIPNAS = "ViPNASHeatmapSimpleHead"
_SIMPLE = ("TopdownHeatmapSimpleHead", "TopDownSimpleHead", _VIPNAS)
_STAGES = ("TopdownHeatmapMultiStageHead", "TopDownMultiStageHead")
_UNITS = ("TopdownHeatmapMSMUHead", "TopDownMSMUHead")
_SIZES = {"input_size": "image_size", "heatmap_size": "heatmap_size"}


def modern(model: Mapping[Any, Any], data: Mapping[Any, Any]) -> dict[str, Any]:
    """The `model` of 1.x, from a network's `model` and `data_cfg`.

    Raises ConfigError for unsupported values, with the key names of 0.x.
    """
    old, data_keys = Section(model, "model"), Section(data, "data_cfg")
    old.training("backbone", "loss_pose")
    head = old.section("keypoint_head") or old.refuse("keypoint_head", "a dict with its type")
    test = old.section("test_cfg") or old.refuse("test_cfg", "a dict")
    found = OLD[old.typed(*OLD)](head, test, data_keys)
    old.finish()
    return {"backbone": model.get("backbone"), **found}


def _top_down(head: Section, test: Section, crops: Section) -> dict[str, Any]:
    sizes = {key: crops.integers(old_key, count=2) for key, old_key in _SIZES.items()}
    codec = _codec(test) | sizes
    readers = dict.fromkeys(_SIMPLE, _simple) | dict.fromkeys(_STAGES, _stages) | dict.fromkeys(_UNITS, _units)
    read = readers[head.typed(*readers)]
    return {
        "type": "TopdownPoseEstimator",
        **read(head, codec),
        "test_cfg": {
            "flip_test": test.flag("flip_test", True),
            "shift_heatmap": test.flag("shift_heatmap", False),
            "flip_mode": "udp_combined" if codec.get("heatmap_type") == "combined" else "heatmap",
        },
    }


def _bottom_up(head: Section, test: Section, images: Section) -> dict[str, Any]:
    is_higher, keypoints = head.typed(_TAGS, _HIGHER) == _HIGHER, head.integer("num_joints", most=4096)
    width, height = (
        images.integers("image_size", count=2)
        if not images.is_number("image_size")
        else ((images.integer("image_size"),) * 2)
    )
    udp = test.flag("use_udp", False)
    codec = {
        "type": "AssociativeEmbedding",
        "input_size": (width, height),
        "use_udp": udp,
        "decode_keypoint_order": _BODY_FIRST if keypoints == len(_BODY_FIRST) else tuple(range(keypoints)),
        "decode_topk": test.integer("max_num_people", most=1000),
        "decode_keypoint_thr": test.number("detection_threshold"),
        "decode_tag_thr": test.number("tag_threshold"),
        "rule": "mmpose0",
    }
    stages = (True, False) if is_higher else (True,)
    test.same("num_joints", keypoints)
    test.same("with_heatmaps", (True,) * len(stages))
    test.same("with_ae", stages)
    for key, value in (("nms_kernel", 5), ("nms_padding", 2), ("use_detection_val", True), ("ignore_too_much", False)):
        test.same(key, value)
    test.same("adjust", True)
    test.same("refine", True)
    test.same("tag_per_joint", True)
    test.same("align_corners", udp, True)
    test.fixed(select_output_index=None, score_per_joint=False)
    test.training("scale_factor")  # BottomUpGetImgSize has the one in use.
    head.same("with_ae_loss", stages)
    projected = test.flag("project2image")
    if udp and projected:
        test.refuse("project2image", "False with use_udp")
    return {
        "type": "BottomupPoseEstimator",
        "head": head.those(*_HIGHER_KEYS) | {"decoder": codec} if is_higher else _tags(head, keypoints, codec),
        "test_cfg": {"flip_test": test.flag("flip_test", True), "restore_heatmap_size": projected},
    }


_TAGS, _HIGHER = "AESimpleHead", "AEHigherResolutionHead"
_BODY_FIRST = (*range(7), 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
_HIGHER_KEYS = (
    *("type", "in_channels", "num_joints", "tag_per_joint", "extra", "num_deconv_layers", "num_deconv_filters"),
    *("num_deconv_kernels", "num_basic_blocks", "cat_output", "with_ae_loss", "loss_keypoint"),
)


def _tags(head: Section, keypoints: int, codec: Mapping[str, Any]) -> dict[str, Any]:
    """An AssociativeEmbeddingHead."""
    head.fixed(tag_per_joint=True)
    channels = head.integer("in_channels")
    layers = _layers(head, channels)
    return {
        "type": "AssociativeEmbeddingHead",
        "in_channels": channels,
        "num_keypoints": keypoints,
        "decoder": codec,
        **layers,
    }


def _simple(head: Section, codec: Mapping[str, Any]) -> dict[str, Any]:
    """A HeatmapHead, and the neck that joins levels for it."""
    parts: dict[str, Any] = {}
    if head.choice("input_transform", {None: False, "resize_concat": True}, None):
        channels = sum(head.integers("in_channels"))
        parts["neck"] = {
            "type": "FeatureMapProcessor",
            "select_index": head.integers("in_index"),
            "concat": True,
            "align_corners": head.flag("align_corners", False),
        }
    else:
        head.fixed(in_index=0)
        head.training("align_corners")  # of joined levels
        channels = head.integer("in_channels")
    is_vipnas = head.type == _VIPNAS
    parts["head"] = {
        "type": "ViPNASHead" if is_vipnas else "HeatmapHead",
        "in_channels": channels,
        "out_channels": head.integer("out_channels"),
        "decoder": codec,
        **_layers(head, channels, (144, 144, 144) if is_vipnas else _WIDTHS),
    }
    if is_vipnas:
        parts["head"]["deconv_num_groups"] = head.integers("num_deconv_groups", (16, 16, 16))
    return parts


def _stages(head: Section, codec: Mapping[str, Any]) -> dict[str, Any]:
    """The CPMHead of a stacked hourglass or of a CPM, whose maps need no further layer."""
    channels = head.integer("in_channels")
    layers = _layers(head, channels)
    return {
        "head": {
            "type": "CPMHead",
            "in_channels": channels,
            "out_channels": head.integer("out_channels"),
            "num_stages": head.integer("num_stages", 1, most=16),
            "decoder": codec,
            **layers,
        }
    }


_WIDTHS = (256, 256, 256)


def _layers(head: Section, channels: int, usual: tuple[int, ...] = _WIDTHS) -> dict[str, Any]:
    """The keys of the layers between a level of the backbone and the maps."""
    head.training("loss_keypoint")
    steps = head.integer("num_deconv_layers", 3, least=0, most=8)
    widths = head.integers("num_deconv_filters", usual, count=steps if steps else None)
    kernels = head.integers("num_deconv_kernels", (4, 4, 4), count=steps if steps else None)
    wide = widths[-1] if steps else channels
    layers: dict[str, Any] = {
        "deconv_out_channels": widths if steps else None,
        "deconv_kernel_sizes": kernels,
    }
    if (extra := head.section("extra")) is not None:
        count = extra.integer("num_conv_layers", 0, least=0, most=16)
        kernels_of_last = {1: 1, 3: 3} | ({0: 0} if head.type in _STAGES else {})
        kernel = extra.choice("final_conv_kernel", kernels_of_last, 1)
        layers["final_layer"] = {"kernel_size": kernel, "padding": kernel // 2} if kernel else None
        convs = extra.integers("num_conv_kernels", (1,) * count, count=count)
        if count:
            layers |= {"conv_out_channels": (wide,) * count, "conv_kernel_sizes": convs}
    return layers


def _units(head: Section, codec: Mapping[str, Any]) -> dict[str, Any]:
    """The MSPNHead of MSPN and RSN, whose keys are the same."""
    head.training("loss_keypoint")
    keys = ("out_shape", "unit_channels", "out_channels", "num_stages", "num_units", "use_prm", "norm_cfg")
    return {"head": {"type": "MSPNHead", "decoder": codec} | head.those(*keys)}


def _codec(test: Section) -> dict[str, Any]:
    """The codec that `test_cfg` describes. `rule` is our own key, since 1.x decodes otherwise."""
    kernel = test.integer("modulate_kernel", 11, most=63)
    rule = test.choice("post_process", _RULES, "default")
    if rule == "default" and test.flag("unbiased_decoding", False):  # mmpose before 0.8
        rule = "unbiased"
    if test.flag("use_udp", False):
        radius = test.number("valid_radius_factor", 0.0546875)
        if test.choice("target_type", _TARGETS, "GaussianHeatmap"):
            return {
                "type": "UDPHeatmap",
                "heatmap_type": "combined",
                "blur_kernel_size": kernel,
                "radius_factor": radius,
                "rule": "mmpose0",
            }
        return {"type": "UDPHeatmap", "blur_kernel_size": kernel, "rule": "mmpose0"}
    test.choice("target_type", _TARGETS, "GaussianHeatmap")
    test.training("valid_radius_factor")  # of combined targets
    if rule == "megvii":
        return {"type": "MegviiHeatmap", "kernel_size": kernel}
    if rule is None:
        test.refuse("post_process", "'default', 'unbiased' or 'megvii'")
    return {"type": "MSRAHeatmap", "unbiased": rule == "unbiased", "blur_kernel_size": kernel, "rule": "mmpose0"}


_TARGETS = {"GaussianHeatMap": False, "GaussianHeatmap": False, "CombinedTarget": True}
_RULES = {"default": "default", "unbiased": "unbiased", "megvii": "megvii", True: "default", None: None, False: None}

OLD = {"TopDown": _top_down, "AssociativeEmbedding": _bottom_up}
"""The networks of 0.x."""
