"""Conversion of configurations of mmpose 0.x to the keys of 1.x."""

from collections.abc import Mapping
from typing import Any

from .section import Section

_HEADS = ("TopdownHeatmapSimpleHead", "TopDownSimpleHead")


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
    found = {
        "type": "TopdownPoseEstimator",
        "backbone": model.get("backbone"),
        "head": _head(head) | {"decoder": _codec(test) | sizes},
        "test_cfg": {
            "flip_test": test.flag("flip_test", True),
            "shift_heatmap": test.flag("shift_heatmap", False),
        },
    }
    old.finish()
    return found


_SIZES = {"input_size": "image_size", "heatmap_size": "heatmap_size"}


def _head(head: Section) -> dict[str, Any]:
    """A HeatmapHead."""
    head.typed(*_HEADS)
    head.training("loss_keypoint")
    head.fixed(in_index=0, input_transform=None, align_corners=False)
    steps = head.integer("num_deconv_layers", 3, least=0, most=8)
    widths = head.integers("num_deconv_filters", (256, 256, 256), count=steps if steps else None)
    kernels = head.integers("num_deconv_kernels", (4, 4, 4), count=steps if steps else None)
    if (extra := head.section("extra")) is not None:
        extra.fixed(final_conv_kernel=1, num_conv_layers=0, num_conv_kernels=())
    return {
        "type": "HeatmapHead",
        "in_channels": head.integer("in_channels"),
        "out_channels": head.integer("out_channels"),
        "deconv_out_channels": widths if steps else None,
        "deconv_kernel_sizes": kernels,
    }


def _codec(test: Section) -> dict[str, Any]:
    """The codec that `test_cfg` describes."""
    kernel = test.integer("modulate_kernel", 11, most=63)
    rule = test.choice("post_process", {"default": "default", "unbiased": "unbiased", "megvii": "megvii"}, "default")
    if test.flag("unbiased_decoding", False):  # mmpose before 0.8
        rule = "unbiased"
    if test.flag("use_udp", False):
        test.choice("target_type", {"GaussianHeatMap": None, "GaussianHeatmap": None}, "GaussianHeatmap")
        return {"type": "UDPHeatmap", "blur_kernel_size": kernel}
    if rule == "megvii":
        return {"type": "MegviiHeatmap", "kernel_size": kernel}
    return {"type": "MSRAHeatmap", "unbiased": rule == "unbiased", "blur_kernel_size": kernel}
