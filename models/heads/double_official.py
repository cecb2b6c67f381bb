"""Double-Head R-CNN's box head, as its authors have it (Wu et al., arXiv 1904.06493): layers find the class,
convolutions and attention the box, and in Double-Head-Ext both find both."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..coders import boxes_to_priors, deltas_to_boxes
from ..regions import RegionFeatures, enlarged
from ..two_stage import RoIHead, Stage

_GROUPS = 4
"""Of channels, in the attention."""


def _conv(in_channels: int, channels: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(channels)]


class _Widened(nn.Module):
    """A residual block that changes the number of channels."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.top = nn.Sequential(*_conv(in_channels, channels, 1))
        self.bottom = nn.Sequential(*_conv(in_channels, in_channels, 3), nn.ReLU(), *_conv(in_channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.top(x) + self.bottom(x))


class _Bottleneck(nn.Module):
    """A residual block of three convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // 4
        layers = (*_conv(channels, width, 1), nn.ReLU(), *_conv(width, width, 3), nn.ReLU(), *_conv(width, channels, 1))
        self.bottleneck = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bottleneck(x) + x)


class _NonLocal(nn.Module):
    """Attention between the cells of a region, without a softmax, and a residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.g, self.theta, self.phi = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.W = nn.Sequential()
        self.W.add_module("0", nn.Conv2d(inner, channels, 1))
        self.W.add_module("bn", nn.BatchNorm2d(channels))
        self.ffconv = _Bottleneck(channels)

    def forward(self, x: Tensor) -> Tensor:
        theta, phi, g = (layer(x).unflatten(1, (_GROUPS, -1)).flatten(3) for layer in (self.theta, self.phi, self.g))
        attention = theta.transpose(2, 3) @ phi / theta.shape[3]
        y = (g @ attention.transpose(2, 3)).flatten(1, 2).unflatten(2, x.shape[2:])
        return self.ffconv(torch.relu(self.W(y) + x))


class OfficialDoubleHead(nn.Module):
    """Features of regions and of the enlarged ones, (n, k, channels, size, size) each, to class scores and boxes.

    `forward` gives raw logits of the convolutions and of the layers, with the background first: `conv_classes` and
    `classes` (n, k, classes + 1), `conv_deltas` and `deltas` (n, k, (classes + 1) * 4). Boxes, which end at their last
    pixel, are those of the convolutions, scores those of the layers, or with `fused` 1 - (1 - a)(1 - b) of both
    (equation 5).
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        size: int = 7,
        width: int = 1024,
        stds: Sequence[float] = (0.1, 0.1, 0.2, 0.2),
        fused: bool = False,
    ) -> None:
        super().__init__()
        self.stds, self.fused = tuple(stds), fused
        self.nonlocal_conv = _Widened(channels, width)
        self.shared_nonlocal = nn.Sequential(_NonLocal(width), _NonLocal(width))
        self.fc6, self.fc7 = nn.Linear(channels * size * size, width), nn.Linear(width, width)
        self.cls_score, self.cls_score_fc = (nn.Linear(width, classes + 1) for _ in range(2))
        self.bbox_pred, self.bbox_pred_fc = (nn.Linear(width, 4 * (classes + 1)) for _ in range(2))

    def forward(self, features: Tensor, around: Tensor) -> dict[str, Tensor]:
        boxes = self.shared_nonlocal(self.nonlocal_conv(around.flatten(0, 1)))
        boxes = boxes.mean((-2, -1)).unflatten(0, features.shape[:2])
        classes = torch.relu(self.fc7(torch.relu(self.fc6(features.flatten(2)))))
        return {
            "conv_classes": self.cls_score(boxes),
            "conv_deltas": self.bbox_pred(boxes),
            "classes": self.cls_score_fc(classes),
            "deltas": self.bbox_pred_fc(classes),
        }

    def scores(self, logits: dict[str, Tensor]) -> Tensor:
        """The scores (n, k, classes), in fp32."""
        scores = logits["classes"].float().softmax(-1)
        if self.fused:
            others = logits["conv_classes"].float().softmax(-1)
            scores = scores + others - scores * others
        return scores[..., 1:]

    def boxes(self, logits: dict[str, Tensor], regions: Tensor) -> Tensor:
        """The boxes (n, k, classes, 4) xyxy px for regions (n, k, 4) xyxy px, in fp32."""
        deltas = logits["conv_deltas"].float().unflatten(-1, (-1, 4))[:, :, 1:]
        return deltas_to_boxes(deltas, boxes_to_priors(regions, True)[:, :, None], self.stds, True)


class OfficialDoubleRoIHead(RoIHead):
    """One stage whose box head also takes the features of regions with `factor` times the sides.

    Regions end at their last pixel, but are pooled as if they ended at its start; the last pixel counts for the level.
    """

    def __init__(self, features: RegionFeatures, bbox_head: nn.Module, factor: float = 1.3) -> None:
        super().__init__(features, bbox_head)
        self.factor = factor

    def forward(self, levels: Sequence[Tensor], regions: Tensor, image_size: Tensor) -> list[Stage]:
        last = regions.new_tensor((0, 0, 1, 1))
        around = self.features(levels, regions + last, enlarged(regions + last, self.factor) - last)
        return [Stage(self.bbox_head(self.features(levels, regions + last, regions), around), regions)]
