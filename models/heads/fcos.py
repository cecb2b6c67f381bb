"""FCOS' head (Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection", arXiv 1904.01355)."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

from torch import Tensor, nn

from ...deploy.contract.fusion import Fusion
from ...deploy.forms import Dense
from ..blocks import Scale, start_head, tower
from ..coders import distances_to_boxes
from ..config.dense import GROUPS, check_points, check_strides, read_bias, read_towers
from ..config.norms import read_norm
from ..config.parts import Head, Neck
from ..config.section import Section
from ..points import grid_points, points_first


class FCOSHead(nn.Module):
    """Pyramid levels to class scores, boxes and centerness for every point.

    The original form predicts distances as exp(x) px and the centerness in the class branch. The `improved` form of the
    authors' later code predicts max(x, 0) strides and the centerness in the box branch, and its convolutions have
    biases. `beside_boxes` overrides the branch of the centerness. `deformable` makes the last convolution of both
    branches deformable. `forward` gives per level `classes` (n, classes, h, w), `sides` (n, 4, h, w) before exp or max,
    and `quality` (n, 1, h, w).
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        improved: bool = False,
        strides: Sequence[int] = (8, 16, 32, 64, 128),
        stacked: int = 4,
        bias: bool = False,
        offset: float = 0.5,
        deformable: bool = False,
        beside_boxes: bool | None = None,
        norm: Literal["bn", "gn"] | None = "gn",
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.strides, self.improved, self.offset = tuple(strides), improved, offset
        self.beside_boxes = improved if beside_boxes is None else beside_boxes
        branch = partial(tower, bias=bias or None, deformable=deformable, norm=norm, in_channels=in_channels)
        self.cls_convs, self.reg_convs = branch(channels, stacked), branch(channels, stacked)
        self.conv_cls = nn.Conv2d(channels, classes, 3, padding=1)
        self.conv_reg = nn.Conv2d(channels, 4, 3, padding=1)
        self.conv_centerness = nn.Conv2d(channels, 1, 3, padding=1)
        self.scales = nn.ModuleList(Scale() for _ in strides)
        start_head(self, self.conv_cls)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        logits: dict[str, list[Tensor]] = {"classes": [], "sides": [], "quality": []}
        for x, scale in zip(levels, self.scales, strict=True):
            classes, boxes = self.cls_convs(x), self.reg_convs(x)
            logits["classes"].append(self.conv_cls(classes))
            logits["sides"].append(scale(self.conv_reg(boxes)))
            logits["quality"].append(self.conv_centerness(boxes if self.beside_boxes else classes))
        return logits

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and the centerness as `quality` (n, a), in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        sides = flat["sides"]
        points, strides = grid_points([x.shape[2:] for x in logits["sides"]], self.strides, sides, self.offset)
        ltrb = sides.relu() * strides if self.improved else sides.exp()
        return {
            "boxes": distances_to_boxes(ltrb, points),
            "scores": flat["classes"].sigmoid(),
            "quality": flat["quality"].sigmoid().squeeze(-1),
        }


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's FCOSHead."""
    build = read_towers(section, neck, FCOSHead, read_norm(section, GROUPS))
    check_points(section)
    check_strides(section, neck)
    section.training("regress_ranges", "center_sampling", "center_sample_radius")
    return Head(
        build(
            strides=neck.strides,
            improved=section.flag("norm_on_bbox", False),
            beside_boxes=section.flag("centerness_on_reg", False),
            deformable=section.flag("dcn_on_last_conv", False),
            bias=read_bias(section),
        ),
        section.integer("num_classes"),
        "bbox_head.conv_cls.weight",
        Dense(neck.strides),
        Fusion(1.0, 1.0),
        mapping=_OLD_NAMES,
    )


_OLD_NAMES = {"bbox_head.fcos_": "bbox_head.conv_"}
"""Key names of mmdet before 2.1."""
