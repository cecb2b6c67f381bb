"""MobileNetV3-Large (Howard et al., "Searching for MobileNetV3", arXiv 1905.02244), with torchvision's names."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import SqueezeExcite, eighths

# Kernel, expanded channels, channels, squeeze and excitation, hard-swish, stride (table 1).
_BLOCKS = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
_STEM, _TAIL = 16, 12
"""The channels of the first layer, and the first of the last three blocks."""
_EPS = 1e-3


def _layer(in_channels: int, channels: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(channels, _EPS)]


class InvertedResidual(nn.Module):
    """A widening 1x1, a depthwise and a narrowing 1x1 convolution, with a shortcut if shapes allow (figure 4)."""

    def __init__(
        self, in_channels: int, wide: int, channels: int, kernel: int, stride: int, excite: bool, hard: bool
    ) -> None:
        super().__init__()
        activation: Callable[[], nn.Module] = nn.Hardswish if hard else nn.ReLU
        gate = partial(SqueezeExcite, gate=F.hardsigmoid)
        self.block = nn.Sequential(
            *([nn.Sequential(*_layer(in_channels, wide, 1), activation())] if wide != in_channels else []),
            nn.Sequential(*_layer(wide, wide, kernel, stride, wide), activation()),
            *([gate(wide, eighths(wide // 4))] if excite else []),
            nn.Sequential(*_layer(wide, channels, 1)),
        )
        self.shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.shortcut else self.block(x)


class MobileNetV3(nn.Module):
    """Image to two levels: the widened features of the block that halves last, at stride 16, and the last at 32.

    Shapes: (n, 3, h, w) to (n, channels[i], ceil(h / stride), ceil(w / stride)). `reduced` halves the channels of the
    last blocks (table 5), `wide` is a factor of all.
    """

    def __init__(self, *, reduced: bool = False, wide: float = 1.0) -> None:
        super().__init__()
        in_channels = stem = eighths(_STEM * wide)
        blocks: list[InvertedResidual] = []
        for i, (kernel, expanded, channels, excite, hard, stride) in enumerate(_BLOCKS):
            inner, outer = (2 if reduced and i > _TAIL else 1), (2 if reduced and i >= _TAIL else 1)
            expanded, channels = eighths(expanded // inner * wide), eighths(channels // outer * wide)
            blocks.append(InvertedResidual(in_channels, expanded, channels, kernel, stride, excite, hard))
            in_channels = channels
        halving, last = blocks[_TAIL].block, 6 * in_channels
        first = nn.Sequential(*_layer(3, stem, 3, 2), nn.Hardswish())
        self.features = nn.ModuleList(
            (
                nn.Sequential(first, *blocks[:_TAIL], halving[0]),
                nn.Sequential(
                    halving[1:],
                    *blocks[_TAIL + 1 :],
                    nn.Sequential(*_layer(in_channels, last, 1), nn.Hardswish()),
                ),
            )
        )
        self.channels = (halving[0][0].out_channels, last)

    def forward(self, image: Tensor) -> list[Tensor]:
        first, second = self.features
        x = first(image)
        return [x, second(x)]
