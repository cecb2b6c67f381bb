"""ResNets that blur before they downsample (Zhang, "Making Convolutional Networks Shift-Invariant Again", arXiv
1904.11486)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .resnet import Bottleneck, ResNet


class BlurPool(nn.Module):
    """Every second pixel of a map that is smoothed with the 3x3 binomial kernel and mirrored at its borders."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("kernel", row[:, None] * row, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.expand(channels, 1, 3, 3)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), kernel, stride=2, groups=channels)


class BlurredResNet(ResNet):
    """A ResNet of bottlenecks whose pooling and strides of 2 become a BlurPool."""

    def __init__(self, depth: int, *, width: int = 64) -> None:
        super().__init__(depth, width=width)
        self.blur = BlurPool()
        for block in self.modules():
            if isinstance(block, Bottleneck) and block.conv2.stride == (2, 2):
                assert isinstance(block.downsample, nn.Sequential)
                shortcut, norm = block.downsample
                block.conv2.stride = shortcut.stride = (1, 1)
                block.conv3 = nn.Sequential(BlurPool(), block.conv3)
                block.downsample = nn.Sequential(BlurPool(), shortcut, norm)

    def pool(self, x: Tensor) -> Tensor:
        return self.blur(F.max_pool2d(x, 2, 1))
