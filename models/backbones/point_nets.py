"""PointNets that look at chosen points alone (PointNet: Qi et al., CVPR 2017; G2L-Net: Chen et al., CVPR 2020)."""

import torch
from torch import Tensor, nn


def chosen_max(x: Tensor, chosen: Tensor) -> Tensor:
    """The maximum (n, c, 1, 1) of features (n, c, 1, p) over the `chosen` points (n, 1, 1, p); 0 without any."""
    found = x.masked_fill(~chosen, -torch.inf).amax(3, keepdim=True)
    return torch.where(chosen.any(3, keepdim=True), found, torch.zeros_like(found))


def chosen_mean(x: Tensor, chosen: Tensor) -> Tensor:
    """The mean (n, c, 1, 1) of (n, c, 1, p) over the `chosen` points (n, 1, 1, p); 0 without any."""
    total = torch.where(chosen, x, torch.zeros_like(x)).sum(3, keepdim=True)
    return total / chosen.sum(3, keepdim=True).clamp(min=1)


class PointFeatures(nn.Module):
    """Points (n, 3, 1, p) to features (n, sum of `channels`, 1, p) of each point and of all `chosen` ones together.

    They are those of the second and fourth layer, the maximum of the last one over all points, and its own. The last
    layer has no ReLU.
    """

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, last = widths
        sides = ((3, first), (first, first), (first, first), (first, second), (second, last))
        for i, (inputs, outputs) in enumerate(sides, 1):
            setattr(self, f"conv{i}", nn.Conv2d(inputs, outputs, 1))
            setattr(self, f"bn{i}", nn.BatchNorm2d(outputs))
        self.channels = (first, second, last, last)

    def forward(self, points: Tensor, chosen: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(points)))
        early = torch.relu(self.bn2(self.conv2(x)))
        late = torch.relu(self.bn4(self.conv4(torch.relu(self.bn3(self.conv3(early))))))
        own = self.bn5(self.conv5(late))
        return torch.cat((early, late, chosen_max(own, chosen).expand_as(own), own), 1)
