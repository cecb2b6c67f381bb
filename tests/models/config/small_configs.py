"""Configurations of small networks, as the frameworks dump them."""

from typing import Any

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
