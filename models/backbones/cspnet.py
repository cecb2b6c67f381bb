"""CSPResNe(X)t-50 and CSPDarknet-53 with PANet and a spatial pyramid (Wang et al., "CSPNet: A New Backbone that can
Enhance Learning Capability of CNN", arXiv 1911.11929), as tables of Darknet's layers, by which their weights are
numbered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .darknet import SLOPE


@dataclass(frozen=True)
class Conv:
    """A convolution; with `leaky` a ReLU follows, and without `norm` it has a bias in place of a batch norm."""

    channels: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    leaky: bool = True
    norm: bool = True


@dataclass(frozen=True)
class Route:
    """The maps of other layers, concatenated."""

    sources: tuple[int, ...]


@dataclass(frozen=True)
class Add:
    """The sum of the previous layer's map and another one; a narrower map is added to the first channels."""

    source: int
    leaky: bool


@dataclass(frozen=True)
class Pool:
    """The largest values of windows."""

    kernel: int
    stride: int


@dataclass(frozen=True)
class Upsample:
    """Twice the size."""


@dataclass(frozen=True)
class Detect:
    """Marks the output of the previous layer as a level of detections."""


@dataclass(frozen=True)
class Maxout:
    """The larger of both halves of the channels (Goodfellow et al., arXiv 1302.4389)."""


Layer = Conv | Route | Add | Pool | Upsample | Detect | Maxout


class Table:
    """Layers in Darknet's order; each method that adds a layer returns its number."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def add(self, layer: Layer) -> int:
        self.layers.append(layer)
        return self.last

    @property
    def last(self) -> int:
        return len(self.layers) - 1

    def conv(self, channels: int, **others: Any) -> int:
        return self.add(Conv(channels, **others))

    def alternate(self, channels: int, count: int) -> int:
        """Alternating convolutions: 1x1 to `channels` and 3x3 to twice as many."""
        for i in range(count):
            self.add(Conv(2 * channels, 3) if i % 2 else Conv(channels))
        return self.last

    def stage(self, width: int, entry: int, units: int, out: int, unit: Callable[[], int], *, leaky: bool) -> int:
        """A cross-stage block: one branch bypasses `units` units, and both are concatenated (figure 2b)."""
        start = self.last
        around = self.conv(width, leaky=leaky)
        self.add(Route((start,)))
        self.conv(entry, leaky=leaky)
        for _ in range(units):
            unit()
        self.conv(width)
        self.add(Route((self.last, around)))
        return self.conv(out)


def resnet(table: Table, groups: int) -> tuple[int, int]:
    """CSPResNet-50, or with groups CSPResNeXt-50; gives the layers at strides 8 and 16."""
    wide = 2 if groups > 1 else 1
    table.conv(64, kernel=7, stride=2)
    table.add(Pool(2, 2))
    ends: list[int] = []
    for i, units in enumerate((3, 3, 5, 2)):
        width, inner = 128 << i, wide * (64 << i)

        def unit(width: int = width, inner: int = inner) -> int:
            source = table.last
            table.conv(inner)
            table.conv(inner, kernel=3, groups=groups)
            table.conv(width, leaky=False)
            return table.add(Add(source, True))

        if i > 0:
            table.conv(inner, kernel=3, stride=2, groups=groups)
        ends.append(table.stage(width, 64 if i == 0 else width, units, 2 * inner, unit, leaky=i in (0, 3)))
    return ends[1], ends[2]


def darknet(table: Table) -> tuple[int, int]:
    """CSPDarknet-53; gives the layers at strides 8 and 16."""
    table.conv(32, kernel=3)
    ends: list[int] = []
    for i, units in enumerate((1, 2, 8, 8, 4)):
        out = 64 << i
        width = out if i == 0 else out // 2

        def unit(width: int = width, inner: int = out // 2) -> int:
            source = table.last
            table.conv(inner)
            table.conv(width, kernel=3)
            return table.add(Add(source, False))

        table.conv(out, kernel=3, stride=2)
        ends.append(table.stage(width, width, units, out, unit, leaky=True))
    return ends[2], ends[3]


def panet(table: Table, fine: int, middle: int, columns: int) -> None:
    """A spatial pyramid, PANet's two paths, and three levels of `columns` detections, the finest first."""
    coarse = _spatial_pyramid(table)
    joined: list[int] = []
    for width, source in ((256, middle), (128, fine)):
        table.conv(width)
        up = table.add(Upsample())
        table.add(Route((source,)))
        table.conv(width)
        table.add(Route((table.last, up)))
        joined.append(table.alternate(width, 5))
    table.conv(256, kernel=3)
    _detect(table, columns)
    down = joined[1]
    for width, other in ((256, joined[0]), (512, coarse)):
        table.add(Route((down,)))
        table.conv(width, kernel=3, stride=2)
        table.add(Route((table.last, other)))
        down = table.alternate(width, 5)
        table.conv(2 * width, kernel=3)
        _detect(table, columns)


def fusion(table: Table, fine: int, middle: int, columns: int) -> None:
    """A spatial pyramid and an exact fusion model (section 3.3), with three levels of `columns` detections, the finest
    first.

    Each level joins its own map with those of the next finer and coarser level, and Maxout halves the channels. The
    paper has no configuration of it; widths are those of PANet.
    """
    maps = (fine, middle, _spatial_pyramid(table))
    for level, width in enumerate((128, 256, 512)):
        parts: list[int] = []
        if level > 0:
            table.add(Route((maps[level - 1],)))
            parts.append(table.conv(width, kernel=3, stride=2))
        table.add(Route((maps[level],)))
        parts.append(table.conv(width))
        if level < 2:
            table.add(Route((maps[level + 1],)))
            table.conv(width)
            parts.append(table.add(Upsample()))
        table.add(Route(tuple(parts)))
        table.add(Maxout())
        table.alternate(width, 3)
        table.conv(2 * width, kernel=3)
        _detect(table, columns)


def _spatial_pyramid(table: Table) -> int:
    start = table.alternate(512, 3)
    pools: list[int] = []
    for kernel in (5, 9, 13):
        pools.append(table.add(Pool(kernel, 1)))
        if kernel < 13:
            table.add(Route((start,)))
    table.add(Route((*pools[::-1], start)))
    return table.alternate(512, 3)


def _detect(table: Table, columns: int) -> None:
    table.conv(columns, leaky=False, norm=False)
    table.add(Detect())


def narrowed(layer: Layer, times: int) -> Layer:
    """The layer with its channels divided by `times`; layers that predict detections are unchanged."""
    is_inner = isinstance(layer, Conv) and layer.norm
    return replace(layer, channels=layer.channels // times) if is_inner else layer


class DarknetGraph(nn.Module):
    """Image (n, 3, h, w) to the levels of detections of a table of layers, in its order.

    Layers are stored as `models.<number>.conv<k>` and `bn<k>`, k being the convolution's number among all.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = tuple(layers)
        widths: list[int] = []
        models: list[nn.Module] = []
        count, before = 0, 3
        for layer in layers:
            block = nn.Sequential()
            if isinstance(layer, Conv):
                count += 1
                size = (layer.kernel, layer.stride, layer.kernel // 2)
                conv = nn.Conv2d(before, layer.channels, *size, groups=layer.groups, bias=not layer.norm)
                block.add_module(f"conv{count}", conv)
                if layer.norm:
                    block.add_module(f"bn{count}", nn.BatchNorm2d(layer.channels))
                before = layer.channels
            elif isinstance(layer, Route):
                before = sum(widths[i] for i in layer.sources)
            elif isinstance(layer, Maxout):
                before //= 2
            models.append(block)
            widths.append(before)
        self.models = nn.ModuleList(models)

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = self.maps(image)
        return [x for layer, x in zip(self.layers, maps, strict=True) if isinstance(layer, Detect)]

    def maps(self, image: Tensor) -> list[Tensor]:
        """The output of every layer."""
        maps: list[Tensor] = []
        x = image
        for layer, block in zip(self.layers, self.models, strict=True):
            x = _run(layer, block, x, maps)
            maps.append(x)
        return maps


def _run(layer: Layer, block: nn.Module, x: Tensor, maps: Sequence[Tensor]) -> Tensor:
    if isinstance(layer, Conv):
        x = block(x)
        return F.leaky_relu(x, SLOPE) if layer.leaky else x
    if isinstance(layer, Route):
        return torch.cat([maps[i] for i in layer.sources], 1)
    if isinstance(layer, Add):
        other = maps[layer.source]
        x = x + F.pad(other, (0, 0, 0, 0, 0, x.shape[1] - other.shape[1]))
        return F.leaky_relu(x, SLOPE) if layer.leaky else x
    if isinstance(layer, Pool):
        # Windows of stride 1 keep the size, those of stride 2 halve an even one.
        return F.max_pool2d(x, layer.kernel, layer.stride, layer.kernel // 2 if layer.stride == 1 else 0)
    if isinstance(layer, Maxout):
        return torch.maximum(*x.chunk(2, 1))
    return F.interpolate(x, scale_factor=2.0) if isinstance(layer, Upsample) else x
