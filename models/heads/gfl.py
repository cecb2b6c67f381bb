"""Generalized Focal Loss heads, v1 (Li et al., arXiv 2006.04388) and v2 (Li et al., arXiv 2011.12885).

Each box side is a discrete distribution over 0..reg_max strides. Version 2 adds a quality predicted from the
shape of those distributions.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from ...deploy.forms import Dense
from ...plugins.dfl.op import dfl_boxes
from ..blocks import Scale, start_head, tower
from ..config.dense import GROUPS, check_points, read_anchors, read_towers
from ..config.norms import read_norm
from ..config.parts import Head, Neck
from ..config.section import Section
from ..points import grid_points, points_first


class GFLHead(nn.Module):
    """Pyramid levels to class scores and boxes, and with `quality_channels` the quality of version 2.

    `forward` gives raw logits per level: `classes` (n, classes, h, w), `sides` (n, 4 * bins, h, w) and, in
    version 2, `quality` (n, 1, h, w). `decode` turns them into the network's outputs.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        stacked: int = 4,
        strides: Sequence[int] = (8, 16, 32, 64, 128),
        reg_max: int = 16,
        quality_channels: int | None = None,
        norm: Literal["bn", "gn"] | None = "gn",
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.strides, self.reg_max = tuple(strides), reg_max
        branch = partial(tower, channels, stacked, norm=norm, in_channels=in_channels)
        self.cls_convs, self.reg_convs = branch(), branch()
        self.gfl_cls = nn.Conv2d(channels, classes, 3, padding=1)
        self.gfl_reg = nn.Conv2d(channels, 4 * (reg_max + 1), 3, padding=1)
        self.scales = nn.ModuleList(Scale() for _ in strides)
        self.reg_conf: nn.Module | None = None
        if quality_channels is not None:
            self.reg_conf = nn.Sequential(
                nn.Conv2d(4 * (_TOP_BINS + 1), quality_channels, 1),
                nn.ReLU(),
                nn.Conv2d(quality_channels, 1, 1),
            )
        start_head(self, self.gfl_cls)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        logits: dict[str, list[Tensor]] = {"classes": [], "sides": []}
        for x, scale in zip(levels, self.scales, strict=True):
            sides = scale(self.gfl_reg(self.reg_convs(x)))
            logits["classes"].append(self.gfl_cls(self.cls_convs(x)))
            logits["sides"].append(sides)
            if self.reg_conf is not None:
                statistics = _side_statistics(sides, self.reg_max + 1)
                logits.setdefault("quality", []).append(self.reg_conf(statistics))
        return logits

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and, in version 2, `quality` (n, a), in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        points, strides = grid_points([x.shape[2:] for x in logits["sides"]], self.strides, flat["sides"])
        outputs = {"boxes": dfl_boxes(flat["sides"], points, strides), "scores": flat["classes"].sigmoid()}
        if "quality" in flat:
            outputs["quality"] = flat["quality"].sigmoid().squeeze(-1)
        return outputs


_TOP_BINS = 4  # GFL v2, section 4.3: the four largest bins of a side and their mean measure its sharpness


def _side_statistics(sides: Tensor, bins: int) -> Tensor:
    """Side logits (n, 4 * bins, h, w) to the quality branch's input (n, 4 * 5, h, w)."""
    n, _, h, w = sides.shape
    # The softmax needs fp32, since half precision loses the order of a flat distribution.
    probability = sides.float().reshape(n, 4, bins, h, w).softmax(2)
    top = probability.topk(_TOP_BINS, 2).values
    return torch.cat((top, top.mean(2, keepdim=True)), 2).reshape(n, -1, h, w).to(sides.dtype)


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's GFLHead and LDHead."""
    anchors = read_anchors(section, neck)
    if anchors.per_cell > 1 or anchors.centre:
        section.refuse("anchor_generator", "one anchor a cell with center_offset 0")
    check_points(section)
    section.training("loss_ld", "loss_ld_vlr", "loss_kd", "loss_im")
    build = read_towers(section, neck, GFLHead, read_norm(section, GROUPS))
    return Head(
        build(strides=neck.strides, reg_max=section.integer("reg_max", 16, most=256)),
        section.integer("num_classes"),
        "bbox_head.gfl_cls.weight",
        Dense(neck.strides),
        unused=("bbox_head.integral.",),
    )
