"""TOOD's head (Feng et al., "TOOD: Task-aligned One-stage Object Detection", arXiv 2108.07755)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ...deploy.contract.fusion import Fusion
from ...deploy.forms import Dense
from ...plugins.deform_conv.op import DeformConv, deform_conv
from ..anchors import Anchors
from ..blocks import ConvNorm, Scale, start_head, tower
from ..coders import deltas_to_boxes, distances_to_boxes
from ..config.dense import GROUPS, read_deltas, read_squares, read_towers
from ..config.norms import read_norm
from ..config.parts import Head, Neck
from ..config.section import Section
from ..points import grid_points, points_first

_STDS = (0.1, 0.1, 0.2, 0.2)


class TaskDecomposition(nn.Module):
    """The features of one task: all layers of the shared tower, weighted by an attention over layers (equation 2).

    Shapes: x (n, layers * channels, h, w) to (n, channels, h, w).
    """

    def __init__(self, channels: int, layers: int, norm: Literal["bn", "gn"] | None) -> None:
        super().__init__()
        width = channels // 8
        self.layer_attention = nn.Sequential(
            nn.Conv2d(layers * channels, width, 1), nn.ReLU(), nn.Conv2d(width, layers, 1), nn.Sigmoid()
        )
        self.reduction_conv = ConvNorm(layers * channels, channels, 1, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.layer_attention(x.mean((2, 3), keepdim=True))
        layers = x.unflatten(1, (weights.shape[1], -1)) * weights.unsqueeze(2)
        return self.reduction_conv(layers.flatten(1, 2))


class TOODHead(nn.Module):
    """Pyramid levels to class scores, boxes and the alignment of both for every point.

    `forward` gives per level `classes` (n, classes, h, w) and `quality` (n, 1, h, w), logits, and `boxes`
    (n, 4, h, w), xyxy in strides, fp32. Boxes start as distances from the point, or with `from_anchors` as deltas from
    `anchors`. The first `deformable` layers of the tower are modulated deformable convolutions.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        anchors: Anchors,
        stacked: int = 6,
        from_anchors: bool = False,
        deformable: int = 0,
        norm: Literal["bn", "gn"] | None = "gn",
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.anchors, self.from_anchors = anchors, from_anchors
        self.inter_convs = tower(channels, stacked, norm=norm, in_channels=in_channels)
        for layer in self.inter_convs[:deformable]:
            width = layer.conv.in_channels
            layer.conv = DeformConv(width, channels, 3, 1, 1, offset_groups=4, bias=norm is None, modulated=True)
        self.cls_decomp = TaskDecomposition(channels, stacked, norm)
        self.reg_decomp = TaskDecomposition(channels, stacked, norm)
        self.tood_cls = nn.Conv2d(channels, classes, 3, padding=1)
        self.tood_reg = nn.Conv2d(channels, 4, 3, padding=1)
        self.cls_prob_module = _alignment(channels, stacked, 1)
        self.reg_offset_module = _alignment(channels, stacked, 8)
        self.scales = nn.ModuleList(Scale() for _ in anchors.strides)
        start_head(self, self.tood_cls)
        start_head(self.cls_prob_module, self.cls_prob_module[-1])

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        logits: dict[str, list[Tensor]] = {"classes": [], "boxes": [], "quality": []}
        for i, x in enumerate(levels):
            layers: list[Tensor] = []
            for conv in self.inter_convs:
                x = conv(x)
                layers.append(x)
            features = torch.cat(layers, 1)
            first = self._first_boxes(self.tood_reg(self.reg_decomp(features)).float(), i)
            logits["classes"].append(self.tood_cls(self.cls_decomp(features)))
            logits["boxes"].append(_aligned(first, self.reg_offset_module(features).float()))
            logits["quality"].append(self.cls_prob_module(features))
        return logits

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and the alignment as `quality` (n, a), in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        _, strides = grid_points([x.shape[2:] for x in logits["boxes"]], self.anchors.strides, flat["boxes"])
        return {
            "boxes": flat["boxes"] * strides,
            "scores": flat["classes"].sigmoid(),
            "quality": flat["quality"].sigmoid().squeeze(-1),
        }

    def _first_boxes(self, raw: Tensor, level: int) -> Tensor:
        """Raw predictions (n, 4, h, w) of one level to boxes of the same shape, xyxy in strides."""
        n, _, h, w = raw.shape
        scale, stride = self.scales[level].scale.float(), self.anchors.strides[level]
        values = points_first([raw if self.from_anchors else raw.exp()]) * scale
        points, _ = grid_points([(h, w)], [1], raw)
        if self.from_anchors:
            _, _, width, height = self.anchors.first_cell(stride)[0]
            sides = torch.tensor([width / stride, height / stride], device=raw.device)
            boxes = deltas_to_boxes(values, torch.cat((points, sides.expand_as(points)), -1), _STDS)
        else:
            boxes = distances_to_boxes(values, points)
        return boxes.transpose(1, 2).reshape(n, 4, h, w)


def _alignment(channels: int, layers: int, outputs: int) -> nn.Sequential:
    """The branch that predicts an alignment map from all layers of the tower (equations 4 and 5)."""
    hidden = channels // 4
    return nn.Sequential(nn.Conv2d(layers * channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, outputs, 3, padding=1))


def _aligned(boxes: Tensor, offsets: Tensor) -> Tensor:
    """Each side of a box sampled from a neighbour, at `offsets` (n, 8, h, w) as (dy, dx) per side (equation 5).

    A box that would become inverted is unchanged.
    """
    taps = torch.ones(4, 1, 1, 1, device=boxes.device)
    moved = deform_conv(boxes, offsets, taps, None, None, (1, 1), (0, 0), (1, 1), 4, 4)
    inverted = (moved[:, :2] > moved[:, 2:]).any(1, keepdim=True)
    return torch.where(inverted, boxes, moved)


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's TOODHead."""
    anchors = read_squares(section, neck)
    from_anchors = section.choice("anchor_type", {"anchor_free": False, "anchor_based": True}, "anchor_free")
    if read_deltas(section, (1.0,) * 4) != _STDS and from_anchors:
        section.refuse("bbox_coder", f"target_stds of {_STDS}")
    section.training("initial_loss_cls", "reg_decoded_bbox", "pred_kernel_size")
    norm = read_norm(section, GROUPS)
    build = read_towers(section, neck, TOODHead, norm)
    deformable = section.integer("num_dcn", 0, least=0, most=64)
    if deformable and norm is None:
        section.refuse("num_dcn", "0 without norm_cfg")
    return Head(
        build(anchors=anchors, from_anchors=from_anchors, deformable=deformable),
        section.integer("num_classes"),
        "bbox_head.tood_cls.weight",
        Dense(neck.strides, clip="none"),
        Fusion(0.5, 0.5, threshold_by="fused", rank_by="fused"),
    )
