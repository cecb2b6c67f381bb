"""RetinaNet's head with guided anchors (Wang et al., "Region Proposal by Guided Anchoring", arXiv 1901.03278)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...deploy.forms import Dense
from ...plugins.deform_conv.op import deform_conv
from ..blocks import start_head
from ..coders import deltas_to_boxes
from ..config.dense import read_deltas, read_squares, read_towers
from ..config.norms import read_norm
from ..config.parts import Head, Neck
from ..config.section import Section
from ..points import points_first
from .squares import SquareAnchorHead

GROUPS = 4  # of channels that share offsets
_GROWTH = -math.log(1e-6)  # an anchor is at most a million times as wide or tall as its square, and no less
RARE = 0.01  # a cell less likely than this to hold an object's centre gives nothing


class FeatureAdaption(nn.Module):
    """A deformable 3x3 convolution that follows an anchor's shape, and ReLU (section 3.4).

    Shapes: x (n, channels, h, w) and the logarithms of the anchor's growth (n, 2, h, w) to (n, channels, h, w).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_offset = nn.Conv2d(2, GROUPS * 18, 1, bias=False)
        self.conv_adaption = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor, shape: Tensor) -> Tensor:
        offsets, weight = self.conv_offset(shape), self.conv_adaption.weight
        return torch.relu(deform_conv(x, offsets, weight, None, None, (1, 1), (1, 1), (1, 1), 1, GROUPS))


class GuidedRetinaHead(SquareAnchorHead):
    """Pyramid levels to class scores and boxes for one anchor a cell, whose shape and likelihood are predicted.

    `forward` gives raw logits per level: `classes` (n, classes, h, w), `deltas` (n, 4, h, w), `shape` (n, 2, h, w),
    the logarithms of how much wider and taller the anchor is than its square, and `centre` (n, 1, h, w), whether it
    holds an object's centre. Where that is unlikely all scores are 0.
    """

    def __init__(self, classes: int, channels: int = 256, **branches: Any) -> None:
        super().__init__(channels, **branches)
        self.conv_loc, self.conv_shape = nn.Conv2d(channels, 1, 1), nn.Conv2d(channels, 2, 1)
        self.feature_adaption_cls, self.feature_adaption_reg = FeatureAdaption(channels), FeatureAdaption(channels)
        self.retina_cls = nn.Conv2d(channels, classes, 3, padding=1)
        self.retina_reg = nn.Conv2d(channels, 4, 3, padding=1)
        start_head(self, self.retina_cls)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        logits: dict[str, list[Tensor]] = {"classes": [], "deltas": [], "shape": [], "centre": []}
        for x in levels:
            classes, boxes = self.cls_convs(x), self.reg_convs(x)
            shape = self.conv_shape(boxes)
            logits["classes"].append(self.retina_cls(self.feature_adaption_cls(classes, shape)))
            logits["deltas"].append(self.retina_reg(self.feature_adaption_reg(boxes, shape)))
            logits["shape"].append(shape)
            logits["centre"].append(self.conv_loc(classes))
        return logits

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes) and `boxes` (n, a, 4) xyxy px, in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        squares = self.anchors([x.shape[2:] for x in logits["shape"]], flat["shape"])
        return {
            "boxes": deltas_to_boxes(flat["deltas"], guided(squares, flat["shape"])),
            "scores": torch.where(likely(flat["centre"]), flat["classes"].sigmoid(), 0.0),
        }


def guided(squares: Tensor, shape: Tensor) -> Tensor:
    """Anchors (n, a, 4) cxcywh px from squares (a, 4) and the logarithms of how much their sides grow (n, a, 2)."""
    sides = squares[:, 2:] * shape.clamp(-_GROWTH, _GROWTH).exp()
    return torch.cat((squares[:, :2].expand_as(sides), sides), -1)


def likely(centre: Tensor) -> Tensor:
    """Whether a cell may hold an object's centre, from its logit."""
    return centre.sigmoid() >= RARE


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's GARetinaHead."""
    squares = read_squares(section, neck, "square_anchor_generator")
    section.training("approx_anchor_generator", "reg_decoded_bbox", "loss_loc", "loss_shape")
    section.fixed(deform_groups=GROUPS, loc_filter_thr=RARE)
    for coder in ("anchor_coder", "bbox_coder"):
        if read_deltas(section, _STDS, coder) != _STDS:
            section.refuse(coder, "target_stds of 1")
    build = read_towers(section, neck, GuidedRetinaHead, read_norm(section, None))
    form = Dense(neck.strides, unit="points")
    return Head(build(anchors=squares), section.integer("num_classes"), "bbox_head.retina_cls.weight", form)


_STDS = (1.0, 1.0, 1.0, 1.0)
