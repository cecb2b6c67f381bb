"""Cards as schema 1 had them, one of every form and every way to resize, in JSON."""

from typing import Any

Json = dict[str, Any]

SKELETON: Json = {
    "keypoints": ["nose", "left", "right"],
    "links": [[0, 1], [0, 2]],
    "pairs": [[1, 2]],
    "sigmas": [0.1, 0.2, 0.3],
}
INPUT: Json = {
    "resize": "edges",
    "size": [800, 1333],
    "pad_multiple": 32,
    "color": "rgb",
    "mean": [123.675, 116.28, 103.53],
    "std": [58.395, 57.12, 57.375],
    "layout": "nchw",
    "pad_to": "ceil",
    "centered": False,
    "pad_value": None,
    "enlarge": [1.0, 1.0],
    "spacing": False,
}


def old_card(decode: Json, suppress: Json | None = None, **changes: Any) -> Json:
    """A whole Card; `changes` are those to its input. Forms of poses bring a skeleton."""
    is_pose = decode["kind"] in ("heatmap", "offsets", "hough", "simcc", "tags")
    usual = {"kind": "none" if is_pose else "hard", "conf": 0.25, "iou": 0.6, "max_det": 100, "inclusive": False}
    return {
        "model": "old",
        "task": "pose" if is_pose else "detection",
        "input": INPUT | changes,
        "decode": decode,
        "fusion": {"score_exponent": 1.0, "quality_exponent": 0.0, "threshold_by": "score", "rank_by": "score"},
        "suppress": usual | {"sigma": 0.5, "oks": 0.9} | (suppress or {}),
        "labels": ["a", "b"],
        "ops": ["nms"],
        "provenance": {"checkpoint": "a.pth", "sha256": None, "precision": "fp32", "versions": {}, "parity": None},
        "skeleton": SKELETON if is_pose else None,
        "schema": 1,
    }


_CROP: Json = {"resize": "crop", "size": [256, 192], "enlarge": [1.25, 1.25], "spacing": True}
_KEPT: Json = {"resize": "keep", "size": None, "pad_multiple": 128, "pad_to": "or", "centered": True, "pad_value": 0.0}

DENSE: Json = {"kind": "dense", "strides": [8, 16], "anchors": 9, "top_k": 500, "unit": "points"}
HEATMAPS: Json = {
    "kind": "heatmap",
    "method": "dark",
    "blur": 17,
    "sigma": 3.0,
    "beta": 1.0,
    "debias": False,
    "scale": 1.0,
    "flip": True,
    "shift": 1.0,
    "visible": 0.3,
}
TAGS: Json = {
    "kind": "tags",
    "order": [0, 2, 1],
    "top_k": 20,
    "least_peak": 0.1,
    "tag_distance": 1.0,
    "flip": True,
    "scales": [0.5, 1.0],
    "rule": "mmpose",
}
OLD_CARDS: dict[str, Json] = {
    "edges": old_card(DENSE),
    "canvas": old_card(DENSE, {"inclusive": True}, resize="canvas", size=[640, 480], pad_value=114.0),
    "keep": old_card(
        {"kind": "corners", "tag_distance": 0.5, "top_k": 100, "cut": "image", "flip": True},
        {"kind": "gaussian", "iou": 0.5, "inclusive": True},
        **_KEPT,
    ),
    "peaks": old_card({"kind": "peaks"}, **_KEPT | {"pad_to": "or+1"}),
    "graph": old_card({"kind": "graph"}, {"inclusive": True}),
    "crop": old_card(HEATMAPS, {"kind": "oks"}, **_CROP),
    "offsets": old_card({"kind": "offsets", "radius": 4.0, "blur": 23, "flip": True, "visible": None}, **_CROP),
    "hough": old_card({"kind": "hough", "radius": 4.0, "flip": True, "visible": None}, **_CROP),
    "simcc": old_card({"kind": "simcc", "split": 2.0, "dark": [13, 7], "flip": True, "visible": 0.2}, **_CROP),
    "warp": old_card(TAGS, resize="warp", size=[512, 512], pad_multiple=64, spacing=True),
}
