"""RePose's head (Isack et al., "RePose: Learning Deep Kinematic Priors for Fast Human Pose Estimation", arXiv
2002.03933).

No code is published, and what the paper leaves open is decided here: the tree's root, the widths and the layers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...deploy.system.errors import InputError

EDGES = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (0, 6), (5, 7), (6, 8), (7, 9), (8, 10)),
    *((5, 11), (6, 12), (11, 13), (12, 14), (13, 15), (14, 16)),
)
"""The tree of COCO's keypoints, each with its parent first, from the nose to the limbs."""


class KinematicUpdate(nn.Module):
    """Features of each keypoint, changed along a tree: from the limbs to the root, and back.

    Shapes: (n, keypoints, width, h, w) to the same. Each of the `edges` has a convolution for either direction, which
    sees the features of both ends and adds to those of the one that is reached. All edges are gone along `times` times.
    """

    def __init__(self, edges: Sequence[tuple[int, int]], width: int, times: int = 2) -> None:
        super().__init__()
        up, down = [(child, parent) for parent, child in reversed(edges)], list(edges)
        self.steps, self.times = up + down, times
        self.convs = nn.ModuleList(nn.Conv2d(2 * width, width, 3, padding=1) for _ in self.steps)

    def forward(self, features: Tensor) -> Tensor:
        parts = list(features.unbind(1))
        for _ in range(self.times):
            for (source, target), conv in zip(self.steps, self.convs, strict=True):
                parts[target] = torch.relu(parts[target] + conv(torch.cat((parts[source], parts[target]), 1)))
        return torch.stack(parts, 1)


class ReposeHead(nn.Module):
    """Backbone levels to `heatmaps` (n, keypoints, h, w) at the size of the finest.

    The features of each keypoint, `width` channels, are updated along the tree at the coarsest level, and refined by
    every finer one. Raises InputError for other keypoints than COCO's.
    """

    def __init__(self, keypoints: int, channels: Sequence[int], width: int = 16, times: int = 2) -> None:
        super().__init__()
        if keypoints != len(EDGES) + 1:
            raise InputError(
                f"RePose knows how COCO's {len(EDGES) + 1} keypoints hang together, and not {keypoints}; "
                "choose another network"
            )
        self.keypoints, wide = keypoints, keypoints * width
        self.laterals = nn.ModuleList(nn.Conv2d(level, wide, 1) for level in channels)
        self.update = KinematicUpdate(EDGES, width, times)
        self.refine = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(wide, wide, 3, padding=1, groups=keypoints, bias=False), nn.BatchNorm2d(wide), nn.ReLU()
            )
            for _ in channels[1:]
        )
        self.final_layer = nn.Conv2d(wide, keypoints, 1, groups=keypoints)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        x = torch.relu(self.laterals[-1](levels[-1]))
        x = self.update(x.unflatten(1, (self.keypoints, -1))).flatten(1, 2)
        for lateral, refine, level in zip(self.laterals[-2::-1], self.refine, levels[-2::-1], strict=True):
            x = refine(F.interpolate(x, size=level.shape[2:]) + lateral(level))
        return self.final_layer(x)

    def decode(self, maps: Tensor) -> dict[str, Tensor]:
        return {"heatmaps": maps.float()}
