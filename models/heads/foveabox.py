"""FoveaBox' head (Kong et al., "FoveaBox: Beyond Anchor-based Object Detector", arXiv 1904.03797)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ...deploy.forms import Dense
from ...plugins.deform_conv.op import deform_conv
from ..blocks import ConvNorm, start_head, tower
from ..coders import distances_to_boxes
from ..config.dense import check_points, check_strides, read_bias, read_towers
from ..config.norms import read_norm
from ..config.parts import Head, Neck
from ..config.section import Section
from ..points import grid_points, points_first

_UNIT = 2  # strides; the unit of distances, so that this distance has the logarithm 0
_GROUPS = 4
_ALIGNED_WIDTH = 4  # times the pyramid's channels: the class branch after the alignment


class FeatureAlign(nn.Module):
    """A deformable 3x3 convolution with offsets computed from a predicted box (section 3.5 of the paper).

    Shapes: x (n, c, h, w) and `sides` (n, 4, h, w), the distances to the box's sides, to (n, c, h, w).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_offset = nn.Conv2d(4, _GROUPS * 18, 1, bias=False)
        self.conv_adaption = nn.Conv2d(channels, channels, 3, bias=False)

    def forward(self, x: Tensor, sides: Tensor) -> Tensor:
        offsets, weight = self.conv_offset(sides), self.conv_adaption.weight
        return torch.relu(deform_conv(x, offsets, weight, None, None, (1, 1), (1, 1), (1, 1), 1, _GROUPS))


class FoveaHead(nn.Module):
    """Pyramid levels to class scores and boxes for every point.

    With `align`, the class branch uses features aligned with the predicted box.
    `forward` gives per level `classes` (n, classes, h, w) and `sides` (n, 4, h, w), the logarithms of the
    distances from the point to the sides of its box in units of two strides.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        stacked: int = 4,
        strides: Sequence[int] = (8, 16, 32, 64, 128),
        align: bool = False,
        norm: Literal["bn", "gn"] | None = None,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        width = _ALIGNED_WIDTH * channels if align else channels
        self.reg_convs = tower(channels, stacked, norm=norm, in_channels=in_channels)
        self.feature_adaption = FeatureAlign(channels) if align else None
        if align:
            self.cls_convs = nn.Sequential(
                ConvNorm(channels, width, 3, norm=norm), ConvNorm(width, width, 1, norm=norm)
            )
        else:
            self.cls_convs = tower(channels, stacked, norm=norm, in_channels=in_channels)
        self.conv_cls = nn.Conv2d(width, classes, 3, padding=1)
        self.conv_reg = nn.Conv2d(channels, 4, 3, padding=1)
        start_head(self, self.conv_cls)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        logits: dict[str, list[Tensor]] = {"classes": [], "sides": []}
        for x in levels:
            sides = self.conv_reg(self.reg_convs(x))
            if self.feature_adaption is not None:
                x = self.feature_adaption(x, sides.exp())
            logits["classes"].append(self.conv_cls(self.cls_convs(x)))
            logits["sides"].append(sides)
        return logits

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes) and `boxes` (n, a, 4) xyxy px, in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        sizes = [x.shape[2:] for x in logits["sides"]]
        points, strides = grid_points(sizes, self.strides, flat["sides"], offset=0.5)
        ltrb = flat["sides"].exp() * (_UNIT * strides)
        return {"boxes": distances_to_boxes(ltrb, points), "scores": flat["classes"].sigmoid()}


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's FoveaHead."""
    check_strides(section, neck)
    check_points(section)
    section.training("scale_ranges", "sigma")
    section.same("base_edge_list", tuple(_UNIT * stride for stride in neck.strides), (16, 32, 64, 128, 256))
    section.fixed(deform_groups=_GROUPS, dcn_on_last_conv=False)
    align, norm = section.flag("with_deform", False), read_norm(section, None)
    if align:
        section.same("feat_channels", neck.channels, 256)
    if read_bias(section) and norm is not None:
        section.refuse("conv_bias", "'auto'")
    build = read_towers(section, neck, FoveaHead, norm)
    return Head(
        build(strides=neck.strides, align=align),
        section.integer("num_classes"),
        "bbox_head.conv_cls.weight",
        Dense(neck.strides, clip="last_pixel"),
        mapping=_OLD_NAMES,
    )


_OLD_NAMES = {"bbox_head.fovea_": "bbox_head.conv_"}
"""Key names of mmdet before 2.1."""
