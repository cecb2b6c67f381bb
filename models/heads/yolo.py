"""YOLOv3's head (Redmon and Farhadi, "YOLOv3: An Incremental Improvement", arXiv 1804.02767), and the box coding of it
and its successors."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ...deploy.contract.fusion import Fusion
from ...deploy.forms import Dense
from ..anchors import SizedAnchors
from ..backbones.darknet import ConvLeaky, check_leaky
from ..config.dense import check_classes
from ..config.norms import batch_norm, normed
from ..config.parts import Head, Neck
from ..config.section import Section
from ..points import points_first

OTHERS = 5
"""Columns of an anchor before those of its classes: four for the box, one for whether there is any object."""


class YOLOv3Head(nn.Module):
    """Levels, the coarsest first, to class scores, boxes and objectness for every anchor.

    `forward` gives `cells` per level, logits (n, anchors * (5 + classes), h, w), anchor by anchor. An anchor whose
    objectness is below `rare` has scores of 0.
    """

    def __init__(
        self,
        classes: int,
        in_channels: Sequence[int],
        channels: Sequence[int],
        *,
        anchors: SizedAnchors,
        rare: float = 0.005,
    ) -> None:
        super().__init__()
        self.classes, self.anchors, self.rare = classes, anchors, rare
        self.convs_bridge = nn.ModuleList(ConvLeaky(c, out, 3) for c, out in zip(in_channels, channels, strict=True))
        self.convs_pred = nn.ModuleList(
            nn.Conv2d(c, len(sides) * (OTHERS + classes), 1) for c, sides in zip(channels, anchors.sides, strict=True)
        )

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        branches = zip(self.convs_bridge, self.convs_pred, levels, strict=True)
        return {"cells": [last(first(x)) for first, last, x in branches]}

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and the objectness as `quality` (n, a), in fp32."""
        outputs = decode_cells(logits["cells"], self.anchors, self.classes)
        likely = (outputs["quality"] >= self.rare)[..., None]
        return outputs | {"scores": torch.where(likely, outputs["scores"], 0.0)}


class CellHead(nn.Module):
    """Levels of cells' logits as they are, with class scores, boxes and objectness for every anchor.

    A centre may lie in as many cells as its level's `stretch` says. `forward` gives `cells` per level, as above.
    """

    def __init__(self, classes: int, *, anchors: SizedAnchors, stretch: Sequence[float]) -> None:
        super().__init__()
        self.classes, self.anchors, self.stretch = classes, anchors, tuple(stretch)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        return {"cells": list(levels)}

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and the objectness as `quality` (n, a), in fp32."""
        return decode_cells(logits["cells"], self.anchors, self.classes, self.stretch)


def decode_cells(
    levels: Sequence[Tensor], anchors: SizedAnchors, classes: int, stretch: Sequence[float] | None = None
) -> dict[str, Tensor]:
    """Cells' logits (n, anchors * (5 + classes), h, w) to `scores`, `boxes` and `quality` of all anchors, in fp32.

    A box's centre lies in its anchor's cell (equation 2.1), or anywhere in as many cells as its level's `stretch` says;
    its sides are its anchor's times an exponential.
    """
    sizes = [x.shape[2:] for x in levels]
    columns = [points_first([x]).reshape(x.shape[0], -1, OTHERS + classes) for x in levels]
    centre, growth, objectness, scores = torch.cat(columns, 1).float().split((2, 2, 1, classes), -1)
    priors = anchors(sizes, centre)
    reach = anchors.each(
        [s * k for s, k in zip(anchors.strides, stretch or (1.0,) * len(levels), strict=True)], sizes, centre
    )
    centre, half = priors[:, :2] + (centre.sigmoid() - 0.5) * reach, priors[:, 2:] * growth.exp() / 2
    return {
        "boxes": torch.cat((centre - half, centre + half), -1),
        "scores": scores.sigmoid(),
        "quality": objectness.sigmoid().squeeze(-1),
    }


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's YOLOV3Head."""
    section.same("in_channels", neck.channels)
    section.same("featmap_strides", neck.strides, (32, 16, 8))
    section.fixed(conv_cfg=None)
    check_classes(section)
    check_leaky(section)
    section.training("loss_conf", "loss_xy", "loss_wh", "one_hot_smoother")
    if coder := section.section("bbox_coder"):
        coder.typed("YOLOBBoxCoder")
        coder.rest_trains()
    anchors = section.section("anchor_generator") or section.refuse("anchor_generator", "a YOLOAnchorGenerator")
    anchors.typed("YOLOAnchorGenerator")
    anchors.same("strides", neck.strides)
    sides = anchors.levels_of_pairs("base_sizes", count=len(neck.strides))
    if len({len(level) for level in sides}) > 1:
        anchors.refuse("base_sizes", "as many sizes for every level")
    test = section.section("test_cfg") or section.refuse("test_cfg", "a dict")
    network = partial(
        YOLOv3Head,
        in_channels=neck.channels,
        channels=section.integers("out_channels", (1024, 512, 256), count=len(neck.strides)),
        anchors=SizedAnchors(neck.strides, sides),
        rare=test.number("conf_thr", -1.0),
    )
    return Head(
        normed(network, batch_norm(section)),
        section.integer("num_classes"),
        "bbox_head.convs_pred.0.weight",
        Dense(neck.strides, anchors=len(sides[0]), clip="none", levels_together=True),
        Fusion(1.0, 1.0),
        beside_classes=OTHERS,
    )
