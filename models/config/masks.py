"""Mask heads in configurations of second stages."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Graph, Proposed
from ..final import USUAL, FinalRule
from ..heads.mask import MaskHead
from ..heads.mask_cascade import FollowingMaskHead, MaskHeads
from ..heads.mask_scoring import MaskIoUHead, ScoredMaskHead
from ..regions import RegionFeatures
from .extractor import read_features
from .parts import Final, Head, Neck
from .section import Section
from .text import ConfigError

_MOST = 1000
"""The most detections that a network may look at once more."""


def with_mask(section: Section, neck: Neck, suppress: Suppress, head: Head) -> Head:
    """The head of one stage with its FCNMaskHead and MaskIoUHead, where there are any."""
    if "mask_head" not in section:
        return head
    features = read_features(section, neck, "mask_roi_extractor")
    build = _read_mask_head(section.below("mask_head"), neck, features, head.classes)
    if "mask_iou_head" not in section:
        return _final(section, head, suppress, build, features)
    build_iou = _read_iou_head(section.below("mask_iou_head"), neck, features, head.classes)
    scored = _final(section, head, suppress, lambda count: ScoredMaskHead(build(count), build_iou(count)), features)
    mapping = {f"^roi_head.{name}.": f"final_head.{name}." for name in ("mask_head", "mask_iou_head")}
    return replace(scored, mapping=mapping, fusion=Fusion(1.0, 1.0))


def with_masks(section: Section, neck: Neck, suppress: Suppress, head: Head, stages: int, *, flow: bool) -> Head:
    """The head of several stages with a mask head for each. With `flow` all but the first follow the one before."""
    if "mask_head" not in section:
        return head
    features = read_features(section, neck, "mask_roi_extractor")
    given = section.one_or_more("mask_head")
    keys = given * stages if len(given) == 1 else given
    if len(keys) != stages:
        section.refuse("mask_head", f"one for all stages, or {stages}")
    follows = [flow and i > 0 for i in range(stages)]
    builds = [
        _read_mask_head(each, neck, features, head.classes, flow=flow, follows=after)
        for each, after in zip(keys, follows, strict=True)
    ]
    return _final(section, head, suppress, lambda count: MaskHeads(build(count) for build in builds), features)


def _final(
    section: Section, head: Head, suppress: Suppress, build: Callable[[int], nn.Module], features: RegionFeatures
) -> Head:
    if head.form != Proposed():
        section.refuse("mask_head", "no mask_head beside boxes of this type")
    if suppress.kind != "hard" or suppress.class_agnostic or suppress.max_det > _MOST:
        raise ConfigError(
            f"beside a mask_head model.test_cfg.rcnn may have nms of each class and max_per_img up to {_MOST}"
        )
    rule = FinalRule(min(suppress.conf, USUAL.conf), suppress.iou, suppress.max_det)
    final = Final(build, features, rule)
    return replace(head, form=Graph(), final=final, mapping={"^roi_head.mask_head.": "final_head."})


def _read_mask_head(
    head: Section, neck: Neck, features: RegionFeatures, classes: int, *, flow: bool = False, follows: bool = False
) -> Callable[[int], MaskHead]:
    head.typed("HTCMaskHead" if flow else "FCNMaskHead")
    if flow:
        head.same("with_conv_res", follows, True)
    _read_sizes(head, neck, features, classes)
    head.fixed(conv_kernel_size=3, class_agnostic=False, conv_cfg=None, norm_cfg=None, predictor_cfg={"type": "Conv"})
    head.fixed(upsample_cfg={"type": "deconv", "scale_factor": 2})
    head.training("loss_mask")
    kind = FollowingMaskHead if follows else MaskHead
    return partial(kind, channels=neck.channels, convs=head.integer("num_convs", 4, most=64))


def _read_iou_head(head: Section, neck: Neck, features: RegionFeatures, classes: int) -> Callable[[int], MaskIoUHead]:
    head.typed("MaskIoUHead")
    _read_sizes(head, neck, features, classes)
    head.fixed(num_fcs=2)
    head.training("loss_iou")
    convs, width = head.integer("num_convs", 4, most=64), head.integer("fc_out_channels", 1024)
    return partial(MaskIoUHead, channels=neck.channels, size=features.size, convs=convs, width=width)


def _read_sizes(head: Section, neck: Neck, features: RegionFeatures, classes: int) -> None:
    for key in ("in_channels", "conv_out_channels"):
        head.same(key, neck.channels, 256)
    head.same("roi_feat_size", features.size, 14)
    head.same("num_classes", classes, 80)
