"""ShuffleNet V2 (Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", arXiv
1807.11164)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_WIDTHS = {0.5: (48, 96, 192), 1.0: (116, 232, 464), 1.5: (176, 352, 704), 2.0: (244, 488, 976)}
_BLOCKS = (4, 8, 4)
_SLOPE = 0.1


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, depthwise: bool = False) -> nn.Conv2d:
    groups = in_channels if depthwise else 1
    return nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)


class ShuffleBlock(nn.Module):
    """A branch on one half of the channels; with `stride` 2, branches make both halves (figure 3, c and d).

    Shapes: (n, in_channels, h, w) to (n, channels, ceil(h / stride), ceil(w / stride)). ReLUs are leaky, as NanoDet
    has them.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        half, self.stride = channels // 2, stride
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(
                _conv(in_channels, in_channels, 3, stride, depthwise=True),
                nn.BatchNorm2d(in_channels),
                _conv(in_channels, half, 1),
                nn.BatchNorm2d(half),
                nn.LeakyReLU(_SLOPE),
            )
        self.branch2 = nn.Sequential(
            _conv(in_channels if stride > 1 else half, half, 1),
            nn.BatchNorm2d(half),
            nn.LeakyReLU(_SLOPE),
            _conv(half, half, 3, stride, depthwise=True),
            nn.BatchNorm2d(half),
            _conv(half, half, 1),
            nn.BatchNorm2d(half),
            nn.LeakyReLU(_SLOPE),
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = (x, x) if self.stride > 1 else x.chunk(2, 1)
        both = torch.stack((self.branch1(kept), self.branch2(changed)), 2)
        return both.flatten(1, 2)  # Channel shuffle: the channels of both halves alternate.


class ThreeStages(nn.Module):
    """A stem `conv1`, max pooling, and `stage2` to `stage4`, which give the levels at strides 8, 16, 32."""

    def forward(self, image: Tensor) -> list[Tensor]:
        x = F.max_pool2d(self.conv1(image), 3, 2, 1)
        levels: list[Tensor] = []
        for stage in (self.stage2, self.stage3, self.stage4):
            x = stage(x)
            levels.append(x)
        return levels


class ShuffleNetV2(ThreeStages):
    """Image to three levels at strides 8, 16, 32.

    Shapes: (n, 3, h, w) to three (n, channels[i], ceil(h / stride), ceil(w / stride)); `wide` is 0.5, 1, 1.5 or 2.
    """

    def __init__(self, *, wide: float = 1.0) -> None:
        super().__init__()
        in_channels, self.channels = 24, _WIDTHS[wide]
        self.conv1 = nn.Sequential(_conv(3, in_channels, 3, 2), nn.BatchNorm2d(in_channels), nn.LeakyReLU(_SLOPE))
        for i, (width, count) in enumerate(zip(self.channels, _BLOCKS, strict=True), 2):
            blocks = [ShuffleBlock(in_channels, width, 2)]
            blocks += [ShuffleBlock(width, width, 1) for _ in range(count - 1)]
            setattr(self, f"stage{i}", nn.Sequential(*blocks))
            in_channels = width
