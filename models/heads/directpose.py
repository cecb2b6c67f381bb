"""DirectPose's head (Tian et al., "DirectPose: Direct End-to-End Multi-Person Pose Estimation", arXiv 1911.07451)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import start_head, tower
from ..points import grid_points, points_first

GROUPS = ((0, 1, 2, 3, 4), (5,), (7, 9), (6,), (8, 10), (11,), (13, 15), (12,), (14, 16))
"""COCO's keypoints that are found together, those of the face first."""


class DirectPoseHead(nn.Module):
    """Pyramid levels to the class scores, the centerness and the keypoints of a person for every point.

    Keypoint alignment (section 3.2): each group of keypoints first has a rough place, the features there are read from
    the next finer level, those of the face from the finest one, and give the keypoints as offsets from that place.
    `forward` gives per level `classes` (n, classes, h, w), `quality` (n, 1, h, w) and `keypoints` (n, 34, h, w), x and
    y px from the point. `group_width` is the number of channels of a group.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        strides: Sequence[int] = (8, 16, 32),
        stacked: int = 4,
        group_width: int = 64,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.order = [keypoint for group in GROUPS for keypoint in group]
        wide = len(GROUPS) * group_width
        self.cls_convs = tower(channels, stacked, bias=True)
        self.kps_tower = nn.Sequential(*_grouped(channels, wide, 1))
        for _ in range(stacked - 1):
            self.kps_tower.extend(_grouped(wide, wide, len(GROUPS)))
        self.kps_bases = nn.Conv2d(wide, 2 * len(GROUPS), 3, padding=1, groups=len(GROUPS))
        self.sample_features_conv = nn.Sequential(*_grouped(wide, wide, len(GROUPS)))
        self.kps_offsets = nn.ModuleList(nn.Conv2d(group_width, 2 * len(group), 1) for group in GROUPS)
        self.conv_cls = nn.Conv2d(channels, classes, 3, padding=1)
        self.conv_centerness = nn.Conv2d(channels, 1, 3, padding=1)
        start_head(self, self.conv_cls)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        logits: dict[str, list[Tensor]] = {"classes": [], "quality": [], "keypoints": []}
        sampled: list[Tensor] = []
        for level, x in enumerate(levels):
            scores, parts = self.cls_convs(x), self.kps_tower(x)
            logits["classes"].append(self.conv_cls(scores))
            logits["quality"].append(self.conv_centerness(scores))
            sampled.append(self.sample_features_conv(parts).unflatten(1, (len(GROUPS), -1)))
            bases = self.kps_bases(parts).float().unflatten(1, (len(GROUPS), 2))
            logits["keypoints"].append(self._aligned(bases, sampled, level))
        return logits

    def _aligned(self, bases: Tensor, sampled: Sequence[Tensor], level: int) -> Tensor:
        """Keypoints (n, 34, h, w) in px from the points of a level, from the rough places (n, groups, 2, h, w), x and y
        in cells, in fp32."""
        stride = self.strides[level]
        finer = max(level - 1, 0)
        found: list[Tensor] = []
        for source, groups in ((0, slice(1)), (finer, slice(1, None))):
            ratio = stride // self.strides[source]
            features = _at(sampled[source][:, groups], bases[:, groups] * ratio + ratio // 2, ratio)
            parts = zip(features.unbind(1), bases[:, groups].unbind(1), self.kps_offsets[groups], strict=True)
            for own, base, layer in parts:
                offsets = layer(own.to(layer.weight.dtype)).float().unflatten(1, (-1, 2))
                found.append((base[:, None] + offsets / ratio) * stride)
        places = torch.cat(found, 1)
        return places[:, [self.order.index(i) for i in range(len(self.order))]].flatten(1, 2)

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), the centerness as `quality` (n, a), the `keypoints` (n, a, 34), x and y px, and
        `boxes` (n, a, 4) xyxy px around them, in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        shifts = flat["keypoints"].unflatten(-1, (-1, 2))
        points, _ = grid_points([x.shape[2:] for x in logits["keypoints"]], self.strides, shifts, 0.5)
        places = shifts + points[:, None]
        return {
            "boxes": torch.cat((places.amin(2), places.amax(2)), -1),
            "scores": flat["classes"].sigmoid(),
            "quality": flat["quality"].sigmoid().squeeze(-1),
            "keypoints": places.flatten(2),
        }


def _at(maps: Tensor, shifts: Tensor, step: int) -> Tensor:
    """Values of maps (n, g, c, H, W) at every `step`-th pixel plus shifts (n, g, 2, h, w), x and y px, in fp32.

    Returns (n, g, c, h, w), bilinear and 0 outside.
    """
    count, (height, width) = maps.shape[1], maps.shape[3:]
    y = torch.arange(shifts.shape[3], device=maps.device)[:, None] * step + shifts[:, :, 1]
    x = torch.arange(shifts.shape[4], device=maps.device) * step + shifts[:, :, 0]
    grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), -1).flatten(0, 1)
    values = F.grid_sample(maps.float().flatten(0, 1), grid, align_corners=False)
    return values.unflatten(0, (-1, count))


def _grouped(in_channels: int, channels: int, groups: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(in_channels, channels, 3, padding=1, groups=groups)
    return convolution, nn.GroupNorm(channels // 4, channels), nn.ReLU()
