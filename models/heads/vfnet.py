"""VarifocalNet head (Zhang et al., "VarifocalNet: An IoU-aware Dense Object Detector", arXiv 2008.13367).

Every point predicts a first box. The features at nine landmarks of that box then refine and classify it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from ...deploy.forms import Dense
from ...plugins.deform_conv.op import deform_conv
from ..blocks import ConvNorm, Scale, start_head, tower
from ..coders import distances_to_boxes
from ..config.dense import GROUPS, check_points, check_strides, read_bias, read_towers
from ..config.norms import read_norm
from ..config.parts import Head, Neck
from ..config.section import Section
from ..points import grid_points, points_first


class StarConv(nn.Module):
    """A 3x3 convolution with taps on a box: its corners, points on its sides, and the point itself.

    Shapes: x (n, c, h, w) and offsets (n, 18, h, w) of `star_offsets` to (n, c, h, w). Section 3.3 of the paper;
    stored as the single parameter `weight`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, x: Tensor, offsets: Tensor) -> Tensor:
        return torch.relu(deform_conv(x, offsets, self.weight, None, None, (1, 1), (1, 1), (1, 1), 1, 1))


def star_offsets(sides: Tensor) -> Tensor:
    """Offsets that move the taps of a 3x3 convolution onto a box, (n, 18, h, w) as (dy, dx) in cells.

    `sides` (n, 4, h, w) are the distances from the point to the left, top, right and bottom side, in cells.
    """
    # No map is that large, so no offset is clipped, and half precision stays finite.
    left, top, right, bottom = sides.clamp(max=_FARTHEST).split(1, 1)
    regular = torch.tensor([-1.0, 0.0, 1.0], device=sides.device)[:, None, None]
    rows = torch.cat((-top, torch.zeros_like(top), bottom), 1) - regular
    columns = torch.cat((-left, torch.zeros_like(left), right), 1) - regular
    taps = (rows[:, :, None].expand(-1, -1, 3, -1, -1), columns[:, None].expand(-1, 3, -1, -1, -1))
    return torch.stack(taps, 3).flatten(1, 3)


_FARTHEST = 1e4


class VFNetHead(nn.Module):
    """Pyramid levels to IoU-aware class scores and refined boxes.

    `forward` gives per level `classes` (n, classes, h, w), logits, and `sides` (n, 4, h, w), the refined distances
    from the point to the sides of its box in px, fp32, and `first_sides`, those before. `decode` turns them into the
    network's outputs. With `deformable` the last layer of both towers is a modulated deformable convolution. With
    `bias`, convolutions before norms have one too.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        stacked: int = 3,
        strides: Sequence[int] = (8, 16, 32, 64, 128),
        deformable: bool = False,
        bias: bool = False,
        norm: Literal["bn", "gn"] | None = "gn",
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        branch = partial(tower, bias=bias or None, deformable=deformable, norm=norm, in_channels=in_channels)
        self.cls_convs, self.reg_convs = branch(channels, stacked), branch(channels, stacked)
        self.vfnet_reg_conv = ConvNorm(channels, channels, 3, norm=norm, bias=bias or None)
        self.vfnet_reg = nn.Conv2d(channels, 4, 3, padding=1)
        self.scales = nn.ModuleList(Scale() for _ in strides)
        self.vfnet_reg_refine_dconv = StarConv(channels)
        self.vfnet_reg_refine = nn.Conv2d(channels, 4, 3, padding=1)
        self.scales_refine = nn.ModuleList(Scale() for _ in strides)
        self.vfnet_cls_dconv = StarConv(channels)
        self.vfnet_cls = nn.Conv2d(channels, classes, 3, padding=1)
        start_head(self, self.vfnet_cls)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        logits: dict[str, list[Tensor]] = {"classes": [], "sides": [], "first_sides": []}
        for x, stride, scale, refine in zip(levels, self.strides, self.scales, self.scales_refine, strict=True):
            classes, sides = self.cls_convs(x), self.reg_convs(x)
            # exp() exceeds the range of half precision.
            first = scale(self.vfnet_reg(self.vfnet_reg_conv(sides))).float().exp() * (_UNIT * stride)
            passed = first.detach() + _GRADIENT * (first - first.detach()) if self.training else first
            offsets = star_offsets(passed / stride).to(x.dtype)
            factors = refine(self.vfnet_reg_refine(self.vfnet_reg_refine_dconv(sides, offsets))).float().exp()
            logits["classes"].append(self.vfnet_cls(self.vfnet_cls_dconv(classes, offsets)))
            logits["sides"].append(factors * (first.detach() if self.training else first))
            logits["first_sides"].append(first)
        return logits

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes) and `boxes` (n, a, 4) xyxy px, in fp32."""
        sides, classes = (points_first(logits[name]).float() for name in ("sides", "classes"))
        points, _ = grid_points([x.shape[2:] for x in logits["sides"]], self.strides, sides)
        return {"boxes": distances_to_boxes(sides, points), "scores": classes.sigmoid()}


_GRADIENT = 0.1  # how much of the gradient of the taps' positions reaches the first box, as in the authors' code
_UNIT = 8  # strides; the unit of the first box is the upper end of its level's range of sizes


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's VFNetHead."""
    build = read_towers(section, neck, VFNetHead, read_norm(section, GROUPS), stacked=3)
    check_points(section)
    check_strides(section, neck)
    section.fixed(bbox_norm_type="reg_denom", use_atss=True)
    _check_ranges(section, neck)
    anchors = section.section("anchor_generator")
    if anchors is not None:  # They affect only the assignment and the position of points.
        anchors.same("strides", neck.strides)
        anchors.fixed(center_offset=0.0)
        anchors.rest_trains()
    section.training("center_sampling", "center_sample_radius", "sync_num_pos", "gradient_mul", "use_vfl")
    section.training("loss_cls_fl", "loss_bbox_refine", "reg_decoded_bbox")
    deformable, bias = section.flag("dcn_on_last_conv", False), read_bias(section)
    return Head(
        build(strides=neck.strides, deformable=deformable, bias=bias),
        section.integer("num_classes"),
        "bbox_head.vfnet_cls.weight",
        Dense(neck.strides),
    )


def _check_ranges(section: Section, neck: Neck) -> None:
    """Refuse `regress_ranges` that do not end at 8 strides, the unit of the first boxes."""
    if "regress_ranges" in section or neck.strides != (8, 16, 32, 64, 128):
        ends = [pair[-1] for pair in section.pairs("regress_ranges", ())]
        if ends[:-1] != [_UNIT * stride for stride in neck.strides[:-1]]:
            section.refuse("regress_ranges", f"pairs that end at {_UNIT} strides")
