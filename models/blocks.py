"""Layers shared by several networks, named as OpenMMLab names them so that its checkpoints load as they are."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..plugins.deform_conv.op import DeformConv

Activation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Norm:
    """A normalisation of channels: "bn" over the batch, or "gn" in `groups`; `eps` is added to variances.

    `groups` defaults to 32, and to fewer in narrow layers.
    """

    kind: Literal["bn", "gn"]
    eps: float = 1e-5
    groups: int | None = None

    def __call__(self, channels: int) -> nn.Module:
        if self.kind == "bn":
            return nn.BatchNorm2d(channels, self.eps)
        return nn.GroupNorm(self.groups or min(32, channels // 4), channels, self.eps)


def renorm(network: nn.Module, norm: Norm) -> nn.Module:
    """Replace every normalisation of the network, keeping the names."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d | nn.GroupNorm):
                width = child.num_features if isinstance(child, nn.BatchNorm2d) else child.num_channels
                setattr(module, name, norm(width))
    return network


class ConvNorm(nn.Module):
    """Convolution, optional normalisation, optional ReLU.

    Shapes: (n, in_channels, h, w) to (n, out_channels, h', w'); the padding keeps the size at stride 1.
    `norm` is None, "bn", or "gn" as in `Norm`. By default the convolution has a bias if there is no norm; `bias`
    overrides this. A `deformable` one is modulated (Zhu et al., arXiv 1811.11168).
    Parameters are stored as `conv.*` and `bn.*` or `gn.*`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int | tuple[int, int] = 1,
        norm: Literal["bn", "gn"] | None = None,
        bias: bool | None = None,
        relu: bool = True,
        deformable: bool = False,
        groups: int = 1,
    ) -> None:
        super().__init__()
        convolution = partial(DeformConv, modulated=True) if deformable else nn.Conv2d
        bias = norm is None if bias is None else bias
        self.conv = convolution(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=bias)
        self.norm_name = norm
        if norm is not None:
            setattr(self, norm, Norm(norm)(out_channels))
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.norm_name is not None:
            x = getattr(self, self.norm_name)(x)
        return torch.relu(x) if self.relu else x


class ConvAct(ConvNorm):
    """Convolution, batch norm, activation (default: SiLU)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: Activation = F.silu,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride=stride, norm="bn", relu=False, groups=groups)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(super().forward(x))


class SqueezeExcite(nn.Module):
    """Channels scaled by factors in 0..1 that are computed from their means (Hu et al., arXiv 1709.01507).

    `squeezed` is the number of channels between the two convolutions, `gate` what limits the factors.
    """

    def __init__(
        self,
        channels: int,
        squeezed: int,
        activation: Activation = torch.relu,
        gate: Activation = torch.sigmoid,
    ) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, squeezed, 1, relu=False)
        self.conv2 = ConvNorm(squeezed, channels, 1, relu=False)
        self.activation, self.gate = activation, gate

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.conv2(self.activation(self.conv1(x.mean((2, 3), keepdim=True)))))


def tower(
    channels: int,
    depth: int,
    *,
    norm: Literal["bn", "gn"] | None = "gn",
    bias: bool | None = None,
    deformable: bool = False,
    in_channels: int | None = None,
) -> nn.Sequential:
    """A branch of a dense head: `depth` 3x3 convolutions with norm and ReLU, the last one optionally `deformable`.

    The input has `in_channels` channels, by default as many as the output.
    """
    widths = [in_channels or channels] + [channels] * depth
    return nn.Sequential(
        *(
            ConvNorm(widths[i], channels, 3, norm=norm, bias=bias, deformable=deformable and i == depth - 1)
            for i in range(depth)
        )
    )


def level_towers(levels: int, channels: int, depth: int, in_channels: int | None = None) -> nn.ModuleList:
    """One `tower` per level, each with its own batch norms; all share the same convolutions."""
    first, *others = (tower(channels, depth, norm="bn", in_channels=in_channels) for _ in range(levels))
    for other in others:
        for block, shared in zip(other, first, strict=True):
            block.conv = shared.conv
    return nn.ModuleList([first, *others])


def start_head(head: nn.Module, classifier: nn.Conv2d, prior: float = 0.01) -> None:
    """Initialise a head for training: small weights, and a score of `prior` for every class (RetinaNet, 4.1)."""
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.01)
    assert classifier.bias is not None
    nn.init.constant_(classifier.bias, math.log(prior / (1 - prior)))


def add_biases(network: nn.Module) -> nn.Module:
    """Add a bias to every convolution, also before norms, as in some checkpoints."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            module.bias = nn.Parameter(torch.zeros(module.out_channels))
    return network


def exact_linear(x: Tensor, layer: nn.Linear) -> Tensor:
    """Run the layer in fp32 regardless of the type of its weights and of `x`, if half precision is too coarse."""
    return F.linear(x.float(), layer.weight.float(), None if layer.bias is None else layer.bias.float())


def exact_conv(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """The same of a convolution with stride 1 and without groups."""
    bias = None if layer.bias is None else layer.bias.float()
    return F.conv2d(x.float(), layer.weight.float(), bias, padding=layer.padding)


class Scale(nn.Module):
    """One learnable factor, stored as the scalar `scale`."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def eighths(channels: float) -> int:
    """The nearest multiple of 8, unless it is more than a tenth less."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near
