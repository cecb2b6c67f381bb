"""Darknet-53 (Redmon and Farhadi, "YOLOv3: An Incremental Improvement", arXiv 1804.02767, table 1)."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm
from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section
from ..config.trunks import read_stages

_BLOCKS = (1, 2, 8, 8, 4)
SLOPE = 0.1


class ConvLeaky(ConvNorm):
    """Convolution, batch norm and leaky ReLU with a slope of 0.1."""

    def __init__(self, in_channels: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, channels, kernel, stride=stride, norm="bn", relu=False, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(x), SLOPE)


class ResBlock(nn.Module):
    """A 1x1 convolution to half the channels and a 3x3 one back, around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLeaky(channels, channels // 2, 1)
        self.conv2 = ConvLeaky(channels // 2, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x))


class Darknet(nn.Module):
    """Image to four levels at strides 4, 8, 16, 32.

    Shapes: (n, 3, h, w) to four (n, channels[i], ceil(h / stride), ceil(w / stride)). `width` is the first
    convolution's number of channels, which every stage doubles; `blocks` are the stages' numbers of blocks.
    """

    def __init__(self, *, width: int = 32, blocks: tuple[int, ...] = _BLOCKS) -> None:
        super().__init__()
        self.conv1 = ConvLeaky(3, width, 3)
        for i, count in enumerate(blocks, 1):
            stage = nn.Sequential()
            stage.add_module("conv", ConvLeaky(width, 2 * width, 3, stride=2))
            width *= 2
            for k in range(count):
                stage.add_module(f"res{k}", ResBlock(width))
            setattr(self, f"conv_res_block{i}", stage)
        self.channels = tuple(width >> i for i in (3, 2, 1, 0))

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image
        levels: list[Tensor] = []
        for stage in self.children():
            x = stage(x)
            levels.append(x)
        return levels[2:]


def from_config(section: Section) -> Trunk:
    """OpenMMLab's Darknet."""
    section.fixed(depth=53, conv_cfg=None)
    check_leaky(section)
    stages = read_stages(section, (3, 4, 5), (2, 3, 4, 5))
    build = normed(Darknet, batch_norm(section))
    return Trunk(build, tuple(stage - 2 for stage in stages), tuple(1 << stage for stage in stages))


def check_leaky(section: Section) -> None:
    """Refuse an `act_cfg` that is not the one of ConvLeaky."""
    if activation := section.section("act_cfg"):
        activation.typed("LeakyReLU")
        activation.same("negative_slope", SLOPE, 0.01)
        activation.training("inplace")
