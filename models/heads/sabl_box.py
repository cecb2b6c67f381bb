"""SABL's box head for the second stage (Wang et al., "Side-Aware Boundary Localization for More Precise Object
Detection", arXiv 1912.04260, section 3)."""

import torch
from torch import Tensor, nn

from ..coders import boxes_to_priors
from .sabl import sides_to_boxes


class _Conv(nn.Module):
    """A convolution and ReLU, stored as `conv`."""

    def __init__(self, channels: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel, padding=(kernel[0] // 2, kernel[1] // 2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x))


class SABLBoxHead(nn.Module):
    """Features of regions (n, k, channels, size, size) to class scores, boxes and their confidence.

    `forward` gives raw logits: `classes` (n, k, classes + 1), the last of which is the background, `buckets` and
    `offsets` (n, k, 4 * size) of the sides of regions that are `growth` times as long: left, right, top, bottom.
    """

    def __init__(
        self, classes: int, channels: int = 256, *, size: int = 7, width: int = 1024, growth: float = 1.7
    ) -> None:
        super().__init__()
        self.growth = growth
        self.cls_fcs = nn.ModuleList([nn.Linear(channels * size * size, width)])
        self.fc_cls = nn.Linear(width, classes + 1)
        self.reg_pre_convs = nn.Sequential(*(_Conv(channels, (3, 3)) for _ in range(2)))
        self.reg_post_conv_xs = nn.Sequential(_Conv(channels, (1, 3)))
        self.reg_post_conv_ys = nn.Sequential(_Conv(channels, (3, 1)))
        self.reg_conv_att_x, self.reg_conv_att_y = nn.Conv2d(channels, 1, 1), nn.Conv2d(channels, 1, 1)
        self.upsample_x, self.upsample_y = (nn.ConvTranspose1d(channels, channels, 2, 2) for _ in range(2))
        self.fc_reg_cls, self.fc_reg_offset = nn.Linear(channels, 1), nn.Linear(channels, 1)
        nn.init.normal_(self.fc_cls.weight, std=0.01)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        x = features.flatten(2)
        for layer in self.cls_fcs:
            x = torch.relu(layer(x))
        sides = self.reg_pre_convs(features.flatten(0, 1))
        columns = self.reg_post_conv_xs(_pooled(sides, self.reg_conv_att_x, 2))
        rows = self.reg_post_conv_ys(_pooled(sides, self.reg_conv_att_y, 3))
        along = [
            torch.relu(up(x)).mT for up, x in ((self.upsample_x, columns[:, :, 0]), (self.upsample_y, rows[..., 0]))
        ]
        buckets, offsets = (
            torch.cat([_inwards(layer(x)[..., 0]) for x in along], -1).unflatten(0, features.shape[:2])
            for layer in (self.fc_reg_cls, self.fc_reg_offset)
        )
        return {"classes": self.fc_cls(x), "buckets": buckets, "offsets": offsets}

    def scores(self, logits: dict[str, Tensor]) -> Tensor:
        """The scores (n, k, classes) of classes, in fp32."""
        return logits["classes"].float().softmax(-1)[..., :-1]

    def boxes(self, logits: dict[str, Tensor], regions: Tensor) -> Tensor:
        """The boxes (n, k, 1, 4) xyxy px for regions (n, k, 4) xyxy px, in fp32."""
        return self._sides(logits, regions)[0][:, :, None]

    def quality(self, logits: dict[str, Tensor], regions: Tensor) -> Tensor:
        """The confidence (n, k) of the boxes, in fp32."""
        return self._sides(logits, regions)[1]

    def _sides(self, logits: dict[str, Tensor], regions: Tensor) -> tuple[Tensor, Tensor]:
        return sides_to_boxes(
            logits["buckets"].float(), logits["offsets"].float(), boxes_to_priors(regions), self.growth
        )


def _pooled(x: Tensor, attention: nn.Conv2d, axis: int) -> Tensor:
    """The mean of features (r, c, h, w) along an axis, which remains, weighted by the attention of each place."""
    weights = attention(x).sigmoid()
    return (x * (weights / weights.sum(axis, keepdim=True))).sum(axis, keepdim=True)


def _inwards(values: Tensor) -> Tensor:
    """Values (r, 2 * size) from one side to the other as those of either half, each from its side inwards."""
    low, high = values.chunk(2, 1)
    return torch.cat((low, high.flip(1)), 1)
