"""FSAF's head (Zhu et al., "Feature Selective Anchor-Free Module for Single-Shot Object Detection", arXiv
1903.00621)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...deploy.forms import Dense
from ..coders import distances_to_boxes
from ..config.dense import read_squares, read_towers
from ..config.norms import read_norm
from ..config.parts import Head, Neck
from ..config.section import Section
from ..points import grid_points, points_first
from .retina import RetinaHead

_UNIT = 4  # strides; the unit of the predicted distances


class FSAFHead(RetinaHead):
    """RetinaNet's towers with one point per cell: class scores, and the distances from the point to the box's sides.

    `forward` gives per level `classes` (n, classes, h, w), logits, and `sides` (n, 4, h, w), the distances to the top,
    bottom, left and right side in units of four strides.
    """

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        logits = super().forward(levels)
        return {"classes": logits["classes"], "sides": [torch.relu(x) for x in logits["deltas"]]}

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes) and `boxes` (n, a, 4) xyxy px, in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        sizes = [x.shape[2:] for x in logits["sides"]]
        points, strides = grid_points(sizes, self.anchors.strides, flat["sides"])
        top, bottom, left, right = (flat["sides"] * (_UNIT * strides)).split(1, -1)
        ltrb = torch.cat((left, top, right, bottom), -1)
        return {"boxes": distances_to_boxes(ltrb, points), "scores": flat["classes"].sigmoid()}


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's FSAFHead."""
    anchors = read_squares(section, neck)
    if anchors.scales != (1.0,):
        section.refuse("anchor_generator", "anchors of one stride, octave_base_scale 1")
    if coder := section.section("bbox_coder"):
        coder.typed("TBLRBBoxCoder")
        coder.fixed(normalizer=4.0, clip_border=True, use_box_type=False)
    section.training("reg_decoded_bbox", "score_threshold")
    build = read_towers(section, neck, FSAFHead, read_norm(section, None))
    return Head(
        build(anchors=anchors), section.integer("num_classes"), "bbox_head.retina_cls.weight", Dense(neck.strides)
    )
