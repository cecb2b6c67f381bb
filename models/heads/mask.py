"""Mask R-CNN's head (He et al., "Mask R-CNN", arXiv 1703.06870), and the network around it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..blocks import tower
from ..final import USUAL, FinalRule
from ..regions import RegionFeatures
from ..two_stage import TwoStageDetector


class MaskHead(nn.Module):
    """Features of regions (n, k, channels, s, s) and their classes (n, k) to masks (n, k, 2s, 2s), probabilities.

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

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        x = torch.relu(self.upsample(self.convs(features.flatten(0, 1))))
        logits = self.conv_logits(x).unflatten(0, features.shape[:2])
        own = (labels + int(self.background_first))[..., None, None, None]
        return logits.gather(2, own.expand(-1, -1, 1, *logits.shape[3:]))[:, :, 0].float().sigmoid()


class MaskedDetector(TwoStageDetector):
    """A two-stage network that finds a mask in each of its final detections.

    The outputs are those of the `rule`, and `masks` (n, count, 2s, 2s) over the boxes.
    """

    def __init__(
        self,
        *parts: Any,
        mask_head: nn.Module,
        features: RegionFeatures,
        rule: FinalRule = USUAL,
    ) -> None:
        super().__init__(*parts)
        self.mask_head, self.features, self.rule = mask_head, features, rule

    def detect(self, features: Sequence[Tensor], image_size: Tensor) -> dict[str, Tensor]:
        outputs = super().detect(features, image_size)
        found = self.rule(outputs["boxes"], outputs["scores"], image_size)
        return {**found, "masks": self.mask_head(self.features(features, found["boxes"]), found["labels"])}
