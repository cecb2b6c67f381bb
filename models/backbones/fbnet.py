"""The backbone that Hit-Detector's search found (Guo et al., "Hit-Detector: Hierarchical Trinity Architecture Search
for Object Detection", arXiv 2003.11818), of the blocks of FBNet (arXiv 1812.03443)."""

from torch import Tensor, nn

from ..blocks import ConvNorm


class SearchedBlock(nn.Module):
    """A widening 1x1, a depthwise and a narrowing 1x1 convolution, with a shortcut if shapes allow.

    The depthwise one has the given `kernel`, `stride` and `dilation`.
    """

    def __init__(
        self, in_channels: int, channels: int, kernel: int, expansion: int, dilation: int = 1, stride: int = 1
    ) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.conv1 = ConvNorm(in_channels, wide, 1, norm="bn")
        self.conv2 = dilated(ConvNorm(wide, wide, kernel, stride=stride, norm="bn", groups=wide), dilation)
        self.conv3 = ConvNorm(wide, channels, 1, norm="bn", relu=False)
        self.shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        found = self.conv3(self.conv2(self.conv1(x)))
        return x + found if self.shortcut else found


def dilated(layer: ConvNorm, dilation: int) -> ConvNorm:
    """The layer with a dilation that keeps the size of its output."""
    layer.conv.dilation = (dilation, dilation)
    layer.conv.padding = tuple(dilation * padding for padding in layer.conv.padding)
    return layer


# Of each stage: channels, the first block's stride, and of every block kernel, expansion and dilation.
_STAGES = (
    (48, 2, ((3, 3, 1), (3, 3, 1), (3, 3, 2), (3, 3, 1))),
    (96, 2, ((5, 6, 1), (5, 6, 1), (3, 3, 1), (3, 3, 1))),
    (184, 2, ((7, 6, 1), (5, 6, 1), (5, 6, 2), (5, 3, 1))),
    (256, 1, ((5, 6, 1), (5, 6, 2), (5, 6, 1), (5, 6, 2))),
    (352, 2, ((7, 6, 1), (5, 6, 1), (5, 6, 2), (5, 6, 1))),
    (1024, 1, ((3, 3, 1),)),
)
_LAST = 2048
_OUTPUTS = (4, 8, 16, 22)


class HitBackbone(nn.Module):
    """Image to four levels at strides 4, 8, 16, 32.

    Shapes: (n, 3, h, w) to (n, channels[i], h / stride, w / stride). The stem has `width` channels, 16 in the paper;
    all other numbers of channels are in proportion.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        channels = width
        self.layers = nn.ModuleList([ConvNorm(3, channels, 3, stride=2, norm="bn", bias=True)])
        widths = [channels]
        for of_paper, stride, blocks in _STAGES:
            for i, block in enumerate(blocks):
                wide = of_paper * width // 16
                self.layers.append(SearchedBlock(channels, wide, *block, stride=stride if i == 0 else 1))
                channels = wide
                widths.append(channels)
        widths.append(_LAST * width // 16)
        self.layers.append(ConvNorm(channels, widths[-1], 1, norm="bn"))
        self.channels = tuple(widths[i] for i in _OUTPUTS)

    def forward(self, image: Tensor) -> list[Tensor]:
        x, levels = image, list[Tensor]()
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in _OUTPUTS:
                levels.append(x)
        return levels
