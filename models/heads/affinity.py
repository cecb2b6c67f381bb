"""OpenPose's heads, which predict part affinity fields and heatmaps again and again (Cao et al., "OpenPose: Realtime
Multi-Person 2D Pose Estimation using Part Affinity Fields", arXiv 1812.08008, section 3.2, and arXiv 1611.08050,
section 2.2)."""

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


class DenseAffinityHead(AffinityHead):
    """The head of the later OpenPose: four stages of fields, and then two of heatmaps, which also see the last fields.

    Each of five blocks of a stage joins the outputs of its three convolutions. `width` is that of a convolution, in the
    first stage of either kind three quarters of it. `forward` gives the last fields with the heatmaps of each stage.
    """

    def __init__(self, keypoints: int, order: Sequence[int], channels: int, *, width: int = 128) -> None:
        nn.Module.__init__(self)
        self.keypoints, self.order = keypoints, tuple(order)
        fields, maps = 2 * len(order), keypoints + 1
        first, later = (3 * width // 4, 2 * width), (width, 4 * width)
        self.l2_stages = nn.ModuleList([_DenseStage(channels, *first, fields)])
        self.l2_stages += [_DenseStage(channels + fields, *later, fields) for _ in range(3)]
        self.l1_stages = nn.ModuleList([_DenseStage(channels + fields, *first, maps)])
        self.l1_stages.append(_DenseStage(channels + maps + fields, *later, maps))

    def forward(self, features: Tensor) -> list[tuple[Tensor, Tensor]]:
        x = features
        for stage in self.l2_stages:
            fields = stage(x)
            x = torch.cat((features, fields), 1)
        stages: list[tuple[Tensor, Tensor]] = []
        for stage in self.l1_stages:
            heatmaps = stage(x)
            stages.append((fields, heatmaps))
            x = torch.cat((features, heatmaps, fields), 1)
        return stages


class _DenseStage(nn.Module):
    def __init__(self, in_channels: int, width: int, wide: int, out_channels: int) -> None:
        super().__init__()
        for block in range(1, 6):
            for i in range(3):
                setattr(self, f"Mconv{block}_{i}", _ConvPReLU(in_channels if i == 0 else width, width, 3))
            in_channels = 3 * width
        self.Mconv6 = _ConvPReLU(in_channels, wide, 1)
        self.Mconv7 = nn.Conv2d(wide, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        for block in range(1, 6):
            parts: list[Tensor] = []
            for i in range(3):
                x = getattr(self, f"Mconv{block}_{i}")(x)
                parts.append(x)
            x = torch.cat(parts, 1)
        return self.Mconv7(self.Mconv6(x))


class _ConvPReLU(nn.Module):
    def __init__(self, in_channels: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.Mconv = nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2)
        self.MPrelu = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.MPrelu(self.Mconv(x))


def stage_layers(channels: Sequence[int], kernels: Sequence[int]) -> nn.Sequential:
    """Convolutions with a ReLU between two."""
    layers: list[nn.Module] = []
    for (before, after), kernel in zip(pairwise(channels), kernels, strict=True):
        layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
