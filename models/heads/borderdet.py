"""BorderDet's head (Qiu et al., "BorderDet: Border Feature for Dense Object Detection", arXiv 2007.11056).

FCOS predicts a first box at every point. The features along the borders of that box then classify and refine it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...plugins.border_align.op import border_align
from ..blocks import start_head
from ..coders import distances_to_boxes
from ..points import grid_points, points_first
from .fcos import FCOSHead

_POOL_SIZE = 10  # section 4.1
_UNIT = 0.5  # shift of a corner per delta, in sides of the first box


class BorderBranch(nn.Module):
    """Features at every point and along the borders of its box, mixed (figure 4).

    Shapes: x (n, channels, h, w) and boxes (n, h * w, 4) xyxy in cells, fp32, to (n, channels, h, w).
    """

    def __init__(self, channels: int, border_channels: int) -> None:
        super().__init__()
        self.cur_point_conv = _normalised(channels, border_channels)
        self.ltrb_conv = _normalised(channels, 4 * border_channels)
        self.border_conv = nn.Sequential(nn.Conv2d(5 * border_channels, channels, 1), nn.ReLU())

    def forward(self, x: Tensor, boxes: Tensor) -> Tensor:
        # The boxes stay in float: half precision resolves positions on a large map only to an eighth of a cell.
        pooled = border_align(self.ltrb_conv(x), boxes, _POOL_SIZE)
        borders = pooled.permute(0, 3, 1, 2).flatten(1, 2).unflatten(2, x.shape[2:])
        return self.border_conv(torch.cat((borders, self.cur_point_conv(x)), 1))


class InstanceNorm(nn.Module):
    """Zero mean and unit variance for every channel of every image, without parameters; (n, c, h, w).

    PyTorch's InstanceNorm2d refuses maps of one cell.
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, x.shape[1])


def _normalised(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), InstanceNorm(), nn.ReLU())


class BorderDetHead(FCOSHead):
    """Pyramid levels to two sets of class scores and to refined boxes.

    `forward` gives per level the logits `classes` (n, classes, h, w) and `centerness` (n, 1, h, w) and the boxes
    `first` (n, h * w, 4) xyxy px of the first stage, and of the second the logits `border_classes`
    (n, classes, h, w) and the corners' shifts `deltas` (n, 4, h, w). `decode` turns them into the outputs.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        border_channels: tuple[int, int] = (256, 128),
        strides: Sequence[int] = (8, 16, 32, 64, 128),
        stacked: int = 4,
    ) -> None:
        super().__init__(classes, channels, improved=True, strides=strides, stacked=stacked, bias=True, offset=0.0)
        self.border_cls_subnet = BorderBranch(channels, border_channels[0])
        self.border_bbox_subnet = BorderBranch(channels, border_channels[1])
        self.border_cls_score = nn.Conv2d(channels, classes, 1)
        self.border_bbox_pred = nn.Conv2d(channels, 4, 1)
        start_head(self, self.border_cls_score)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        names = ("classes", "centerness", "first", "border_classes", "deltas")
        logits: dict[str, list[Tensor]] = {name: [] for name in names}
        for x, stride, scale in zip(levels, self.strides, self.scales, strict=True):
            class_features, box_features = self.cls_convs(x), self.reg_convs(x)
            ltrb = points_first([scale(self.conv_reg(box_features))]).float().relu() * stride
            points, _ = grid_points([x.shape[2:]], [stride], ltrb, self.offset)
            first = distances_to_boxes(ltrb, points)
            cells = _inside(first / stride, x.shape[2:])
            outputs = (
                self.conv_cls(class_features),
                self.conv_centerness(box_features),
                first,
                self.border_cls_score(self.border_cls_subnet(class_features, cells)),
                self.border_bbox_pred(self.border_bbox_subnet(box_features, cells)),
            )
            for name, output in zip(names, outputs, strict=True):
                logits[name].append(output)
        return logits

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` of the first stage and `quality` of the second, both (n, a, classes), `boxes` (n, a, 4) xyxy px."""
        flat = {name: points_first(logits[name]).float() for name in logits if name != "first"}
        first = torch.cat(logits["first"], 1)
        sides = (first[..., 2:] - first[..., :2]).repeat(1, 1, 2)
        return {
            "boxes": first + flat["deltas"] * _UNIT * sides,
            "scores": (flat["classes"].sigmoid() * flat["centerness"].sigmoid()).sqrt(),
            "quality": flat["border_classes"].sigmoid(),
        }


def _inside(boxes: Tensor, size: Sequence[int]) -> Tensor:
    """Boxes (n, k, 4) xyxy in cells, clipped to a map of (h, w) cells."""
    h, w = size
    x, y = boxes[..., 0::2].clamp(0, w - 1), boxes[..., 1::2].clamp(0, h - 1)
    return torch.stack((x, y), -1).flatten(-2)
