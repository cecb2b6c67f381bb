"""Conversion of configurations of mmpose 0.x to the keys of 1.x."""

from collections.abc import Mapping
from typing import Any

from .section import Section

_SIMPLE = ("TopdownHeatmapSimpleHead", "TopDownSimpleHead")
_UNITS = ("TopdownHeatmapMSMUHead", "TopDownMSMUHead")
_SIZES = {"input_size": "image_size", "heatmap_size": "heatmap_size"}


def modern(model: Mapping[Any, Any], data: Mapping[Any, Any]) -> dict[str, Any]:
    """The `model` of 1.x, from a top-down network's `model` and `data_cfg`.

    Raises ConfigError for unsupported values, with the key names of 0.x.
    """
    old, crops = Section(model, "model"), Section(data, "data_cfg")
    old.typed("TopDown")
    old.training("backbone", "loss_pose")
    head = old.section("keypoint_head") or old.refuse("keypoint_head", "a dict with its type")
    test = old.section("test_cfg") or old.refuse("test_cfg", "a dict")
    sizes = {key: crops.integers(old_key, count=2) for key, old_key in _SIZES.items()}
    codec = _codec(test) | sizes
    read = _units if head.typed(*_SIMPLE, *_UNITS) in _UNITS else _simple
    found = {
        "type": "TopdownPoseEstimator",
        "backbone": model.get("backbone"),
        **read(head, codec),
        "test_cfg": {
            "flip_test": test.flag("flip_test", True),
            "shift_heatmap": test.flag("shift_heatmap", False),
            "flip_mode": "udp_combined" if codec.get("heatmap_type") == "combined" else "heatmap",
        },
    }
    old.finish()
    return found


def _simple(head: Section, codec: Mapping[str, Any]) -> dict[str, Any]:
    """A HeatmapHead, and the neck that joins levels for it."""
    head.training("loss_keypoint")
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
    steps = head.integer("num_deconv_layers", 3, least=0, most=8)
    widths = head.integers("num_deconv_filters", (256, 256, 256), count=steps if steps else None)
    kernels = head.integers("num_deconv_kernels", (4, 4, 4), count=steps if steps else None)
    wide = widths[-1] if steps else channels
    layers: dict[str, Any] = {}
    if (extra := head.section("extra")) is not None:
        count, kernel = extra.integer("num_conv_layers", 0, least=0, most=16), {1: 1, 3: 3}
        kernel = extra.choice("final_conv_kernel", kernel, 1)
        layers["final_layer"] = {"kernel_size": kernel, "padding": kernel // 2}
        convs = extra.integers("num_conv_kernels", (1,) * count, count=count)
        if count:
            layers |= {"conv_out_channels": (wide,) * count, "conv_kernel_sizes": convs}
    parts["head"] = {
        "type": "HeatmapHead",
        "in_channels": channels,
        "out_channels": head.integer("out_channels"),
        "deconv_out_channels": widths if steps else None,
        "deconv_kernel_sizes": kernels,
        "decoder": codec,
        **layers,
    }
    return parts


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
