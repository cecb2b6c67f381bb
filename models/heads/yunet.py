"""YuNet's head (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023)."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ..backbones.yunet import Unit
from ..coders import shifts_to_boxes
from ..points import grid_points, points_first

_PRIOR = 0.01


class YuNetHead(nn.Module):
    """Pyramid levels to class scores, boxes and objectness for every point of the grid.

    `forward` gives per level `classes` (n, classes, h, w) and `quality` (n, 1, h, w), the objectness, both logits, and
    `boxes` (n, 4, h, w), the shift of the centre from the point and the logarithm of the sides, and `keypoints`
    (n, 2 * keypoints, h, w), the shift of each from the point, in strides. `stacked` units come before all of them.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 64,
        *,
        strides: Sequence[int] = (8, 16, 32),
        stacked: int = 1,
        keypoints: int = 5,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)

        def outputs(count: int) -> nn.ModuleList:
            return nn.ModuleList(Unit(channels, count, norm=False) for _ in strides)

        if stacked:
            self.multi_level_share_convs = nn.ModuleList(
                nn.Sequential(*(Unit(channels, channels) for _ in range(stacked))) for _ in strides
            )
        self.stacked = stacked
        self.multi_level_cls, self.multi_level_obj = outputs(classes), outputs(1)
        self.multi_level_bbox, self.multi_level_kps = outputs(4), outputs(2 * keypoints)
        for unit in (*self.multi_level_cls, *self.multi_level_obj):
            nn.init.constant_(unit.conv2.bias, math.log(_PRIOR / (1 - _PRIOR)))

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        if self.stacked:
            levels = [convs(x) for convs, x in zip(self.multi_level_share_convs, levels, strict=True)]
        branches = {
            "classes": self.multi_level_cls,
            "boxes": self.multi_level_bbox,
            "keypoints": self.multi_level_kps,
            "quality": self.multi_level_obj,
        }
        return {name: [unit(x) for unit, x in zip(units, levels, strict=True)] for name, units in branches.items()}

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px, the objectness as `quality` (n, a) and the x and y px of
        the `keypoints` (n, a, 2 * keypoints), in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        points, strides = grid_points([x.shape[2:] for x in logits["boxes"]], self.strides, flat["boxes"])
        return {
            "boxes": shifts_to_boxes(flat["boxes"], points, strides),
            "scores": flat["classes"].sigmoid(),
            "quality": flat["quality"].sigmoid().squeeze(-1),
            "keypoints": (flat["keypoints"].unflatten(-1, (-1, 2)) * strides[:, None] + points[:, None]).flatten(-2),
        }
