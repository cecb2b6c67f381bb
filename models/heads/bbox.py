"""The box head of a second stage (Girshick, "Fast R-CNN", arXiv 1504.08083, with the layers of Lin et al., arXiv
1612.03144, section 4.2)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ..blocks import tower
from ..coders import boxes_to_priors, deltas_to_boxes


class SharedLayers(nn.Module):
    """What a box head begins with: `convs` 3x3 convolutions with norms, and `depth` layers of `width`.

    Without a `width` the mean of a region's features takes the place of the layers. Features are `size` cells wide.
    """

    def __init__(
        self, channels: int = 256, *, size: int = 7, width: int | None = 1024, depth: int = 2, convs: int = 0
    ) -> None:
        super().__init__()
        self.shared_convs = tower(channels, convs, norm="bn")
        self.shared_fcs = nn.ModuleList()
        if width is not None:
            widths = [channels * size * size] + [width] * depth
            self.shared_fcs.extend(nn.Linear(*pair) for pair in pairwise(widths))
        self.width = width or channels

    def hidden(self, features: Tensor) -> Tensor:
        """Features of regions (n, k, channels, size, size) to (n, k, width)."""
        if self.shared_convs:
            features = self.shared_convs(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        x = features.flatten(2) if self.shared_fcs else features.mean((-2, -1))
        for layer in self.shared_fcs:
            x = torch.relu(layer(x))
        return x


class ClassHead(SharedLayers):
    """Features of regions (n, k, channels, size, size) to class scores.

    `forward` gives the raw logits `classes` (n, k, classes + 1), the last of which is the background, or with
    `background_first` the first. `layers` are the arguments of `SharedLayers`.
    """

    def __init__(self, classes: int, channels: int = 256, *, background_first: bool = False, **layers: Any) -> None:
        super().__init__(channels, **layers)
        self.classes, self.background_first = classes, background_first
        self.fc_cls = nn.Linear(self.width, classes + 1)
        nn.init.normal_(self.fc_cls.weight, std=0.01)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        return {"classes": self.fc_cls(self.hidden(features))}

    def scores(self, logits: dict[str, Tensor]) -> Tensor:
        """The scores (n, k, classes) of classes, in fp32."""
        scores = logits["classes"].float().softmax(-1)
        return scores[..., 1:] if self.background_first else scores[..., :-1]

    def boxes(self, logits: dict[str, Tensor], regions: Tensor) -> Tensor:
        """The regions (n, k, 4) as boxes (n, k, 1, 4) of all classes."""
        return regions[:, :, None]


class BoxHead(ClassHead):
    """Features of regions (n, k, channels, size, size) to class scores and boxes, as `ClassHead`.

    `forward` also gives `deltas` (n, k, classes * 4), or (n, k, 4) if the classes share a box (`agnostic`). With
    `background_first` the background has a box too. The `legacy` form of mmdet before 2.0 is like that, and its boxes
    end at their last pixel.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        stds: Sequence[float] = (0.1, 0.1, 0.2, 0.2),
        agnostic: bool = False,
        background_first: bool = False,
        legacy: bool = False,
        **layers: Any,
    ) -> None:
        super().__init__(classes, channels, background_first=background_first or legacy, **layers)
        self.stds, self.legacy = tuple(stds), legacy
        self.fc_reg = nn.Linear(self.width, 4 if agnostic else 4 * (classes + self.background_first))
        nn.init.normal_(self.fc_reg.weight, std=0.001)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        x = self.hidden(features)
        return {"classes": self.fc_cls(x), "deltas": self.fc_reg(x)}

    def boxes(self, logits: dict[str, Tensor], regions: Tensor) -> Tensor:
        """The boxes (n, k, classes or 1, 4) xyxy px for regions (n, k, 4) xyxy px, in fp32."""
        deltas = logits["deltas"].float().unflatten(-1, (-1, 4))
        if self.background_first and deltas.shape[2] > 1:
            deltas = deltas[:, :, 1:]
        priors = boxes_to_priors(regions, self.legacy)[:, :, None]
        return deltas_to_boxes(deltas, priors, self.stds, self.legacy)


class SplitBoxHead(BoxHead):
    """A `BoxHead` whose boxes have two layers of their own (Yang et al., arXiv 1912.03730, section 3.3)."""

    def __init__(self, classes: int, channels: int = 256, *, size: int = 7, width: int = 1024, **others: Any) -> None:
        super().__init__(classes, channels, size=size, width=width, **others)
        self.reg_fcs = nn.ModuleList([nn.Linear(channels * size * size, width), nn.Linear(width, width)])

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        classes = boxes = features.flatten(2)
        for first, second in zip(self.shared_fcs, self.reg_fcs, strict=True):
            classes, boxes = torch.relu(first(classes)), torch.relu(second(boxes))
        return {"classes": self.fc_cls(classes), "deltas": self.fc_reg(boxes)}
