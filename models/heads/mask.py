"""Heads for masks and keypoints of regions (He et al., "Mask R-CNN", arXiv 1703.06870)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import tower


class MaskHead(nn.Module):
    """Features of regions (n, k, channels, s, s) and their classes (n, k) to `masks` (n, k, 2s, 2s), probabilities.

    `convs` 3x3 convolutions come first, with norms if they are `normed`. With `background_first` the first of the
    masks is the background's.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        convs: int = 4,
        normed: bool = False,
        background_first: bool = False,
    ) -> None:
        super().__init__()
        self.background_first = background_first
        self.convs = tower(channels, convs, norm="bn" if normed else None)
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, 2)
        self.conv_logits = nn.Conv2d(channels, classes + background_first, 1)

    def forward(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"masks": self.masks(self.convs(features.flatten(0, 1)), labels)}

    def masks(self, x: Tensor, labels: Tensor) -> Tensor:
        """The masks of regions whose classes are `labels` (n, k), from what the convolutions give (n * k, ...)."""
        logits = self.conv_logits(torch.relu(self.upsample(x))).unflatten(0, labels.shape)
        return of_class(logits, labels + int(self.background_first)).float().sigmoid()


class KeypointMapHead(nn.Module):
    """Features of regions (n, k, channels, s, s) to `heatmaps` (n, k, keypoints, 4s, 4s) over each, logits."""

    def __init__(self, keypoints: int, channels: int = 256, *, convs: int = 8, width: int = 512) -> None:
        super().__init__()
        self.convs = tower(width, convs, norm=None, in_channels=channels)
        self.upsample = nn.ConvTranspose2d(width, keypoints, 4, 2, 1)

    def forward(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        maps = self.upsample(self.convs(features.flatten(0, 1))).float()
        maps = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
        return {"heatmaps": maps.unflatten(0, features.shape[:2])}


def of_class(values: Tensor, labels: Tensor) -> Tensor:
    """Of the values (n, k, classes, ...) of regions those of their classes (n, k): (n, k, ...)."""
    own = labels.reshape(*labels.shape, *[1] * (values.ndim - 2))
    return values.gather(2, own.expand(-1, -1, 1, *values.shape[3:])).squeeze(2)
