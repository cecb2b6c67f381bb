"""Layers shared by several networks, named as OpenMMLab names them so that its checkpoints load as they are."""

import torch
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """Convolution, optional normalisation, optional ReLU.

    Shapes: (n, in_channels, h, w) to (n, out_channels, h', w'); the padding keeps the size at stride 1.
    `norm` is None (the convolution then has a bias), "bn", or "gn" (32 groups, fewer for narrow layers).
    Parameters are stored as `conv.*` and `bn.*` or `gn.*`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        norm: str | None = None,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=norm is None)
        self.norm_name = norm
        if norm == "gn":
            self.gn = nn.GroupNorm(min(32, out_channels // 4), out_channels)
        elif norm == "bn":
            self.bn = nn.BatchNorm2d(out_channels)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.norm_name is not None:
            x = getattr(self, self.norm_name)(x)
        return torch.relu(x) if self.relu else x


class Scale(nn.Module):
    """One learnable factor, stored as the scalar `scale`."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale
