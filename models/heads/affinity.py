"""OpenPose's head, which predicts part affinity fields and heatmaps again and again (Cao et al., "OpenPose: Realtime
Multi-Person 2D Pose Estimation using Part Affinity Fields", arXiv 1812.08008, and arXiv 1611.08050, section 2.2)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class AffinityHead(nn.Module):
    """Features (n, channels, h, w) to `heatmaps` (n, keypoints, h, w) and `fields` (n, limbs, 2, h, w).

    Each stage after the first also sees the fields and heatmaps of the one before. `forward` gives both of each stage;
    the heatmaps end with one of the background. `order` are the channels of the fields' pairs x, y in the order of the
    form's limbs. `width` is that of the layers, and four times as much before the last one of the first stage.
    """

    def __init__(
        self, keypoints: int, order: Sequence[int], channels: int, *, stages: int = 6, width: int = 128
    ) -> None:
        super().__init__()
        self.keypoints, self.order, self.stages = keypoints, tuple(order), stages
        outputs = (2 * len(order), keypoints + 1)
        for stage in range(1, stages + 1):
            for branch, count in enumerate(outputs, 1):
                if stage == 1:
                    layers = stage_layers([channels, *[width] * 3, 4 * width, count], (3, 3, 3, 1, 1))
                else:
                    layers = stage_layers([sum(outputs) + channels, *[width] * 6, count], (7, 7, 7, 7, 7, 1, 1))
                setattr(self, f"model{stage}_{branch}", layers)

    def forward(self, features: Tensor) -> list[tuple[Tensor, Tensor]]:
        stages: list[tuple[Tensor, Tensor]] = []
        for stage in range(1, self.stages + 1):
            x = features if stage == 1 else torch.cat((*stages[-1], features), 1)
            stages.append((getattr(self, f"model{stage}_1")(x), getattr(self, f"model{stage}_2")(x)))
        return stages

    def decode(self, stages: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        fields, heatmaps = stages[-1]
        pairs = fields.float().unflatten(1, (-1, 2))
        return {"heatmaps": heatmaps.float()[:, : self.keypoints], "fields": pairs[:, list(self.order)]}


def stage_layers(channels: Sequence[int], kernels: Sequence[int]) -> nn.Sequential:
    """Convolutions with a ReLU between two."""
    layers: list[nn.Module] = []
    for (before, after), kernel in zip(pairwise(channels), kernels, strict=True):
        layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
