"""Thresholds and suppression of a detector, read from `test_cfg`."""

from dataclasses import replace
from typing import Any

from ...deploy.contract.suppression import Suppress
from .section import Section

ALL = 100_000
"""The Card's maximum number of candidates and detections if the configuration has no limit."""


def read_thresholds(section: Section) -> tuple[Suppress, int]:
    """The suppression, and the number of candidates per level before it."""
    top_k = section.integer("nms_pre", -1, least=-1, most=1 << 30)
    most = section.integer("max_per_img", least=-1, most=1 << 30)
    section.choice("min_bbox_size", {0: None, -1: None}, -1)
    suppress = read_suppression(section)
    return replace(suppress, max_det=most if 0 < most < ALL else ALL), top_k if 0 < top_k < ALL else ALL


def read_suppression(section: Section) -> Suppress:
    """The suppression without a limit."""
    nms = section.section("nms") or section.refuse("nms", "a dict with its type")
    return Suppress(**_read_nms(nms, _part(section, "score_thr", 0.0)), max_det=ALL)


def _read_nms(nms: Section, conf: float) -> dict[str, Any]:
    nms.training("split_thr")  # Does not change the result.
    common = {"class_agnostic": nms.flag("class_agnostic", False)}
    kind = nms.typed("nms", "soft_nms", default="nms")
    overlap = "iou_thr" if "iou_thr" in nms else "iou_threshold"  # before mmdet 2.4
    if kind == "nms":
        return common | {"conf": conf, "iou": _part(nms, overlap, None)}
    kind = nms.choice("method", {"linear": "linear", "gaussian": "gaussian"}, "linear")
    sigma, least = nms.number("sigma", 0.5), _part(nms, "min_score", 1e-3)
    if sigma <= 0:
        nms.refuse("sigma", "a number above 0")
    return common | {"kind": kind, "conf": conf, "floor": least, "iou": _part(nms, overlap, 0.3), "sigma": sigma}


def _part(section: Section, key: str, default: float | None) -> float:
    value = section.number(key) if default is None else section.number(key, default)
    return value if 0 <= value <= 1 else section.refuse(key, "a number of 0 to 1")
