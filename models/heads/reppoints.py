"""RepPoints' head (Yang et al., "RepPoints: Point Set Representation for Object Detection", arXiv 1904.11490)."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from ...deploy.forms import Dense
from ...plugins.deform_conv.op import deform_conv
from ..blocks import start_head, tower
from ..config.dense import check_points, read_towers
from ..config.norms import read_norm
from ..config.parts import Head, Neck
from ..config.section import Section
from ..points import grid_points, points_first

Shape = Literal["moment", "minmax", "partial", "grid"]
_BASE = 4  # strides; how wide the box is that a grid starts from


class PointConv(nn.Module):
    """A 3x3 convolution whose taps lie on given points, and ReLU; stored as the single parameter `weight`.

    Shapes: x (n, c, h, w) and offsets (n, 18, h, w) from the regular taps, as (dy, dx) in cells, to (n, c, h, w).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, x: Tensor, offsets: Tensor) -> Tensor:
        return torch.relu(deform_conv(x, offsets, self.weight, None, None, (1, 1), (1, 1), (1, 1), 1, 1))


class RepPointsHead(nn.Module):
    """Pyramid levels to class scores and boxes by way of nine points each, predicted and then refined.

    `shape` is how points become boxes: by their "moment", mean and deviation, by their "minmax" or that of the first
    four ("partial"), or they lie on a "grid" of the box, which is what is predicted. `norm` is that of the branches.
    `forward` gives per level `classes` (n, classes, h, w), logits, and `boxes` (n, 4, h, w) xyxy in strides from the
    cell's point, fp32.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        shape: Shape = "moment",
        norm: Literal["bn", "gn"] | None = None,
        stacked: int = 3,
        strides: Sequence[int] = (8, 16, 32, 64, 128),
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.strides, self.shape = tuple(strides), shape
        branch = partial(tower, channels, stacked, norm=norm, in_channels=in_channels)
        self.cls_convs, self.reg_convs = branch(), branch()
        values = 4 if shape == "grid" else 18
        self.reppoints_cls_conv, self.reppoints_pts_refine_conv = PointConv(channels), PointConv(channels)
        self.reppoints_cls_out = nn.Conv2d(channels, classes, 1)
        self.reppoints_pts_init_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.reppoints_pts_init_out = nn.Conv2d(channels, values, 1)
        self.reppoints_pts_refine_out = nn.Conv2d(channels, values, 1)
        if shape == "moment":
            self.moment_transfer = nn.Parameter(torch.zeros(2))
        start_head(self, self.reppoints_cls_out)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        logits: dict[str, list[Tensor]] = {"classes": [], "boxes": []}
        for x in levels:
            classes, points = self.cls_convs(x), self.reg_convs(x)
            # Points are distances that half precision would round to eighths of a cell and more.
            first = self.reppoints_pts_init_out(torch.relu(self.reppoints_pts_init_conv(points))).float()
            first, box = self._points(first, first.new_tensor((-_BASE, -_BASE, _BASE, _BASE))[:, None, None] / 2)
            offsets = (first - _regular(first)).to(x.dtype)
            refined = self.reppoints_pts_refine_out(self.reppoints_pts_refine_conv(points, offsets)).float()
            refined, box = self._points(refined, box) if self.shape == "grid" else (first + refined, box)
            logits["classes"].append(self.reppoints_cls_out(self.reppoints_cls_conv(classes, offsets)))
            logits["boxes"].append(box if self.shape == "grid" else self._box(refined))
        return logits

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes) and `boxes` (n, a, 4) xyxy px, in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        points, strides = grid_points([x.shape[2:] for x in logits["boxes"]], self.strides, flat["boxes"])
        return {"boxes": points.repeat(1, 2) + flat["boxes"] * strides, "scores": flat["classes"].sigmoid()}

    def _points(self, predicted: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        """The points (n, 18, h, w) as (y, x), and the box (n, 4, h, w) of a grid, which starts from `box`."""
        return _grid(predicted, box) if self.shape == "grid" else (predicted, box)

    def _box(self, points: Tensor) -> Tensor:
        """The box (n, 4, h, w) xyxy of points (n, 18, h, w), as (y, x)."""
        y, x = points.unflatten(1, (9, 2)).unbind(2)
        if self.shape == "partial":
            y, x = y[:, :4], x[:, :4]
        if self.shape in ("minmax", "partial"):
            return torch.stack((x.amin(1), y.amin(1), x.amax(1), y.amax(1)), 1)
        means = torch.stack((x.mean(1), y.mean(1)), 1)
        reach = torch.stack((x.std(1), y.std(1)), 1) * self.moment_transfer.float().exp()[:, None, None]
        return torch.cat((means - reach, means + reach), 1)


def _regular(like: Tensor) -> Tensor:
    """Where the nine taps of a 3x3 convolution lie, (18, 1, 1) as (y, x) in cells."""
    rows = torch.arange(-1.0, 2.0, device=like.device)
    return torch.cartesian_prod(rows, rows).reshape(-1, 1, 1)


def _grid(deltas: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Points (n, 18, h, w) as (y, x) on the box, and the box, which deltas (n, 4, h, w) make of another."""
    low, high = box.split(2, -3)
    sides = (high - low).clamp(min=1e-6)
    grown = sides * deltas[:, 2:].exp()
    first = (low + high) / 2 + sides * deltas[:, :2] - grown / 2
    steps = torch.linspace(0, 1, 3, device=box.device)[:, None, None]
    x, y = (first[:, i : i + 1] + grown[:, i : i + 1] * steps for i in (0, 1))
    grid = torch.stack((y[:, :, None].expand(-1, -1, 3, -1, -1), x[:, None].expand(-1, 3, -1, -1, -1)), 3)
    return grid.flatten(1, 3), torch.cat((first, first + grown), 1)


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's RepPointsHead."""
    section.same("point_strides", neck.strides, (8, 16, 32, 64, 128))
    section.same("point_feat_channels", section.integer("feat_channels", 256), 256)
    section.fixed(num_points=9, point_base_scale=_BASE, center_init=True)
    section.training("gradient_mul", "moment_mul", "loss_bbox_init", "loss_bbox_refine", "strides", "conv_bias")
    check_points(section)
    shapes: dict[str, Shape] = {"moment": "moment", "minmax": "minmax", "partial_minmax": "partial"}
    shape = section.choice("transform_method", shapes, "moment")
    if section.flag("use_grid_points", False):
        section.same("transform_method", "minmax")
        shape = "grid"
    build = read_towers(section, neck, RepPointsHead, read_norm(section, None))
    return Head(
        build(strides=neck.strides, shape=shape),
        section.integer("num_classes"),
        "bbox_head.reppoints_cls_out.weight",
        Dense(neck.strides),
    )
