"""Feature Pyramid Transformer (Zhang et al., "Feature Pyramid Transformer", arXiv 2007.09451)."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_WINDOW = 3


class SelfTransformer(nn.Module):
    """Attention of a map to itself at half the size, with a shortcut (section 3.2).

    Shapes: (n, channels, h, w) to the same. The weights are a mixture of `mixtures` softmaxes, each over its share of
    the channels (equation 2).
    """

    def __init__(self, channels: int, mixtures: int = 2) -> None:
        super().__init__()
        self.mixtures = mixtures
        self.conv_qs = nn.Conv2d(channels, channels, 1)  # of queries and keys
        self.conv_vs = nn.Conv2d(channels, channels, 1)
        self.attention = nn.Module()
        self.attention.weight = nn.Parameter(torch.randn(mixtures, channels) * channels**-0.5)
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm_layer = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        queries, keys = (self.conv_qs(each).flatten(2) for each in (x, pooled))
        values = self.conv_vs(pooled).flatten(2).transpose(1, 2)
        shares = (self.attention.weight @ queries.mean(2, keepdim=True)).softmax(1)
        scale = x.shape[1] ** -0.5  # the root of all channels, although each softmax has a part of them
        parts = zip(queries.chunk(self.mixtures, 1), keys.chunk(self.mixtures, 1), shares.unbind(1), strict=True)
        mixed = [(q.transpose(1, 2) @ k * scale).softmax(2) @ values * share[:, None] for q, k, share in parts]
        attended = sum(mixed[1:], mixed[0]).transpose(1, 2).reshape(x.shape)
        return self.norm_layer(self.conv(attended)) + x


class GroundingTransformer(nn.Module):
    """What a fine map takes from a coarse one, by the product of their features (section 3.3).

    Shapes: low (n, channels, h, w) and high (n, channels, h', w') to (n, channels, h, w). The products are divided by
    the number of coarse cells, or the `embedded` form has their softmax over these.
    """

    def __init__(self, channels: int, *, embedded: bool = False) -> None:
        super().__init__()
        inner = channels // 2
        self.embedded = embedded
        self.g, self.theta, self.phi = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.W_z = nn.Sequential(nn.Conv2d(inner, channels, 1), nn.BatchNorm2d(channels))

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        queries = self.theta(low)
        keys, values = (conv(high).flatten(2) for conv in (self.phi, self.g))
        if self.embedded:
            weights = (queries.flatten(2).transpose(1, 2) @ keys).softmax(2)
            taken = values @ weights.transpose(1, 2)
        else:
            # Without a softmax the product of keys and values comes first: no matrix of all pairs of cells is needed.
            context = values.float() @ keys.float().transpose(1, 2) / keys.shape[2]
            taken = context.to(low.dtype) @ queries.flatten(2)
        return self.W_z(taken.reshape(queries.shape))


class LocalGroundingTransformer(nn.Module):
    """What a fine map takes from the cells of a coarse one around the same place, channel by channel (section 3.3).

    Shapes: low (n, channels, h, w) and high (n, channels, h', w') to (n, channels, h, w). Windows have 3x3 cells of the
    coarse map at the size of the fine one. Keys know their row or, in the second half of the channels, their column.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rel_h = nn.Parameter(torch.randn(channels // 2, 1, 1, _WINDOW, 1))
        self.rel_w = nn.Parameter(torch.randn(channels - channels // 2, 1, 1, 1, _WINDOW))
        self.key_conv, self.query_conv, self.value_conv = (
            nn.Conv2d(channels, channels, 1, bias=False) for _ in range(3)
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        high = F.pad(F.interpolate(high, size=low.shape[2:]), [_WINDOW // 2] * 4)
        keys, values = self.key_conv(high), self.value_conv(high)
        height, width = low.shape[2:]
        cells = [(i, j) for i in range(_WINDOW) for j in range(_WINDOW)]
        own = (torch.stack([x[:, :, i : i + height, j : j + width] for i, j in cells]) for x in (keys, values))
        keys, values = own
        rows, columns = self.rel_h.flatten(1), self.rel_w.flatten(1)
        places = torch.stack([torch.cat((rows[:, i], columns[:, j])) for i, j in cells])[:, None, :, None, None]
        return ((self.query_conv(low) * (keys + places)).softmax(0) * values).sum(0)


class RenderingTransformer(nn.Module):
    """What a coarse map takes from a fine one, which is `steps` levels finer (section 3.4).

    Shapes: high (n, channels, h, w) and low (n, channels, h', w') to (n, channels, h, w).
    """

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        self.conv3x3 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn_low = nn.BatchNorm2d(channels)
        self.conv1x1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn_high = nn.BatchNorm2d(channels)
        self.str_conv3x3 = nn.Conv2d(channels, channels, 3, 2, 1, bias=False)
        self.bn_reduction = nn.BatchNorm2d(channels)
        self.steps = steps

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        weights = torch.relu(self.bn_low(self.conv1x1(low.mean((2, 3), keepdim=True))))
        for _ in range(self.steps):
            low = self.str_conv3x3(low)
        return torch.relu(self.bn_reduction(low) + self.bn_high(self.conv3x3(high)) * weights)


_GROUNDING = {
    "dot": GroundingTransformer,
    "embedded": partial(GroundingTransformer, embedded=True),
    "local": LocalGroundingTransformer,
}


class FPT(nn.Module):
    """Backbone levels to pyramid levels, each of which attends to itself and to all others, and P6 and P7.

    Shapes: (n, in_channels[i], h, w) each to (n, channels, h, w); P6 and P7 halve the size and round up. `first` is the
    number of the finest level. The memory of self-attention grows with the square of the finest map's size, as that of
    "embedded" `grounding` does. That of "local" and "dot" grounding does not.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        first: int = 3,
        grounding: Literal["dot", "embedded", "local"] = "dot",
    ) -> None:
        super().__init__()
        ground = _GROUNDING[grounding]
        self.numbers = range(first, first + len(in_channels))
        for i, width in zip(self.numbers, in_channels, strict=True):
            setattr(self, f"fpn_p{i}_1x1", nn.Conv2d(width, channels, 1))
            setattr(self, f"st_p{i}", SelfTransformer(channels))
            for j in self.numbers:
                if j > i:
                    setattr(self, f"gt_p{i}_p{j}", ground(channels))
                    setattr(self, f"rt_p{j}_p{i}", RenderingTransformer(channels, j - i))
            setattr(self, f"fpt_p{i}", nn.Conv2d(channels * (len(in_channels) + 1), channels, 3, padding=1))
        self.extra_convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, 2, 1) for _ in range(2))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        maps = {i: getattr(self, f"fpn_p{i}_1x1")(x) for i, x in zip(self.numbers, levels, strict=True)}
        outputs: list[Tensor] = []
        for i, x in maps.items():
            # The authors' order: finer levels from the nearest to the farthest, then coarser ones alike.
            rendered = [getattr(self, f"rt_p{i}_p{j}")(x, maps[j]) for j in reversed(self.numbers) if j < i]
            grounded = [getattr(self, f"gt_p{i}_p{j}")(x, maps[j]) for j in self.numbers if j > i]
            parts = (getattr(self, f"st_p{i}")(x), *rendered, *grounded, x)
            outputs.append(getattr(self, f"fpt_p{i}")(torch.cat(parts, 1)))
        for i, conv in enumerate(self.extra_convs):
            outputs.append(conv(outputs[-1] if i == 0 else outputs[-1].relu()))
        return outputs
