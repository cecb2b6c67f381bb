"""SSD's head (Liu et al., "SSD: Single Shot MultiBox Detector", arXiv 1512.02325, section 2.1)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...deploy.forms import Dense
from ..anchors import SizedAnchors, prior_boxes
from ..blocks import ConvAct
from ..coders import deltas_to_boxes
from ..config.dense import read_deltas
from ..config.norms import normed
from ..config.parts import Head, Neck
from ..config.section import Section
from ..necks.ssd import check_lite
from ..points import points_first

_STDS = (0.1, 0.1, 0.2, 0.2)


class SSDHead(nn.Module):
    """Levels of any width to class scores, which sum up to 1 with the background's, and boxes for every anchor.

    `forward` gives raw logits per level, anchor by anchor: `classes` (n, anchors * (classes + 1), h, w), the background
    last, and `deltas` (n, anchors * 4, h, w). `lite` ones come from separable convolutions. Unless the background is
    `outside`, it is the first of the classes, as in torchvision, and has the score 0.
    """

    def __init__(
        self,
        classes: int,
        in_channels: Sequence[int],
        *,
        anchors: SizedAnchors,
        lite: bool = False,
        stds: Sequence[float] = _STDS,
        outside: bool = True,
    ) -> None:
        super().__init__()
        self.classes, self.anchors, self.stds, self.outside = classes, anchors, tuple(stds), outside
        layer = _separable if lite else _plain
        self.cls_convs, self.reg_convs = (
            nn.ModuleList(layer(c, len(sides) * columns) for c, sides in zip(in_channels, anchors.sides, strict=True))
            for columns in (classes + outside, 4)
        )

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        return {
            "classes": [conv(x) for conv, x in zip(self.cls_convs, levels, strict=True)],
            "deltas": [conv(x) for conv, x in zip(self.reg_convs, levels, strict=True)],
        }

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes) and `boxes` (n, a, 4) xyxy px, in fp32, equally many in every cell."""
        flat = {
            name: torch.cat([points_first([x]).reshape(x.shape[0], -1, columns) for x in logits[name]], 1).float()
            for name, columns in (("classes", self.classes + self.outside), ("deltas", 4))
        }
        sizes = [x.shape[2:] for x in logits["deltas"]]
        boxes = deltas_to_boxes(flat["deltas"], self.anchors(sizes, flat["deltas"]), self.stds)
        scores = flat["classes"].softmax(-1)
        scores = scores[..., :-1] if self.outside else F.pad(scores[..., 1:], (1, 0))
        return {"boxes": self.anchors.evened(boxes, sizes), "scores": self.anchors.evened(scores, sizes)}


def _plain(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1))


def _separable(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        ConvAct(in_channels, in_channels, 3, groups=in_channels, activation=F.relu6),
        nn.Conv2d(in_channels, channels, 1),
    )


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's SSDHead."""
    section.same("in_channels", neck.channels)
    section.fixed(conv_cfg=None, stacked_convs=0)
    section.training("feat_channels", "reg_decoded_bbox", "loss_cls", "loss_bbox")
    lite = section.flag("use_depthwise", False)
    norm = check_lite(section, lite)
    anchors = _anchors(section.section("anchor_generator") or section.refuse("anchor_generator", "a dict"))
    if len(anchors.strides) != len(neck.channels):
        section.refuse("anchor_generator", f"anchors on {len(neck.channels)} levels")
    most = [len(sides) for sides in anchors.sides].index(anchors.per_cell)
    stds = read_deltas(section, (1.0,) * 4)
    network = partial(SSDHead, in_channels=neck.channels, anchors=anchors, lite=lite, stds=stds)
    return Head(
        normed(network, norm),
        section.integer("num_classes", 80),
        f"bbox_head.cls_convs.{most}.{int(lite)}.weight",
        Dense(anchors.strides, anchors=anchors.per_cell),
        beside_classes=1,
    )


def _anchors(section: Section) -> SizedAnchors:
    """The anchors of an SSDAnchorGenerator."""
    section.typed("SSDAnchorGenerator")
    section.same("scale_major", False, True)
    section.fixed(use_box_type=False)
    strides = section.integers("strides")
    ratios = section.levels_of_numbers("ratios", count=len(strides))
    if "min_sizes" in section:
        low, high = (section.numbers(key, count=len(strides)) for key in ("min_sizes", "max_sizes"))
        section.training("input_size", "basesize_ratio_range")
    else:
        low, high = _spread(section, len(strides))
    if low[1:] != high[:-1]:
        section.refuse("max_sizes", "the min_sizes of the next levels")
    return prior_boxes(strides, (*low, high[-1]), ratios)


def _spread(section: Section, levels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The sizes of anchors that are spread evenly over the levels but the first, in percent of the image."""
    side = section.choice("input_size", {300: 300, 512: 512}, 300)
    first, last = (int(100 * value) for value in section.numbers("basesize_ratio_range", (0.15, 0.9), count=2))
    smallest = _SMALLEST.get((side, first))
    if smallest is None or levels < 3 or last <= first:
        section.refuse("basesize_ratio_range", "a start of 0.15 or 0.2 at 300 px, of 0.1 or 0.15 at 512 px")
    step = (last - first) // (levels - 2)
    starts = range(first, last + 1, step)
    if len(starts) != levels - 1:
        section.refuse("basesize_ratio_range", f"one of {levels - 1} steps")
    low = (int(side * smallest / 100), *(int(side * start / 100) for start in starts))
    return low, (*low[1:], int(side * (starts[-1] + step) / 100))


_SMALLEST = {(300, 15): 7, (300, 20): 10, (512, 10): 4, (512, 15): 7}
"""The size of the first level's anchors for an image's size and the second level's, in percent."""
