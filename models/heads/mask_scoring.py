"""The head of Mask Scoring R-CNN, which predicts how good each mask is (Huang et al., "Mask Scoring R-CNN", arXiv
1903.00241, section 3.2)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .mask import MaskHead, of_class


class MaskIoUHead(nn.Module):
    """Features of regions (n, k, channels, s, s), their classes (n, k) and masks (n, k, 2s, 2s) to IoUs (n, k).

    `convs` 3x3 convolutions, the last with stride 2, and layers of `width` see the features and the masks at half size.
    """

    def __init__(self, classes: int, channels: int = 256, *, size: int = 14, convs: int = 4, width: int = 1024) -> None:
        super().__init__()
        widths = [channels + 1] + [channels] * convs
        self.convs = nn.ModuleList(
            nn.Conv2d(*pair, 3, 1 + (i == convs - 1), 1) for i, pair in enumerate(pairwise(widths))
        )
        self.fcs = nn.ModuleList([nn.Linear(channels * (size // 2) ** 2, width), nn.Linear(width, width)])
        self.fc_mask_iou = nn.Linear(width, classes)

    def forward(self, features: Tensor, labels: Tensor, masks: Tensor) -> Tensor:
        x = torch.cat((features, F.max_pool2d(masks, 2)[:, :, None].to(features.dtype)), 2).flatten(0, 1)
        for conv in self.convs:
            x = torch.relu(conv(x))
        x = x.flatten(1)
        for layer in self.fcs:
            x = torch.relu(layer(x))
        return of_class(self.fc_mask_iou(x).unflatten(0, labels.shape), labels).float()


class ScoredMaskHead(nn.Module):
    """The `masks` of a MaskHead, and as `quality` (n, k) the IoU that is predicted of each."""

    def __init__(self, mask_head: MaskHead, mask_iou_head: MaskIoUHead) -> None:
        super().__init__()
        self.mask_head, self.mask_iou_head = mask_head, mask_iou_head

    def forward(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        masks = self.mask_head(features, labels)["masks"]
        return {"masks": masks, "quality": self.mask_iou_head(features, labels, masks)}
