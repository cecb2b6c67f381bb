"""Stacked hourglasses that predict body parts at five scales, with attention to channels (Li et al., "Simple Pose:
Rethinking and Improving a Bottom-up Approach for Multi-Person Pose Estimation", arXiv 1911.10529, section 3.1)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.01
"""Of all leaky ReLUs."""

_SCALES = 5


class Residual(nn.Module):
    """A bottleneck with a leaky ReLU, (n, before, h, w) to (n, after, h, w)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        middle = after // 2
        self.convBlock = nn.Sequential(
            nn.Conv2d(before, middle, 1, bias=False),
            nn.BatchNorm2d(middle),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(middle, middle, 3, padding=1, bias=False),
            nn.BatchNorm2d(middle),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(middle, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.skipConv = nn.Identity()
        if before != after:
            self.skipConv = nn.Sequential(nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.convBlock(x) + self.skipConv(x), SLOPE)


class Conv(nn.Module):
    """A convolution without bias, normalisation, and a leaky ReLU if `active`; or alone and with a bias if `plain`."""

    def __init__(
        self, before: int, after: int, kernel: int = 3, *, dilation: int = 1, active: bool = True, plain: bool = False
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(before, after, kernel, padding=padding, dilation=dilation, bias=plain)
        self.bn = nn.Identity() if plain else nn.BatchNorm2d(after)
        self.active = active and not plain

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return F.leaky_relu(x, SLOPE) if self.active else x


class Stem(nn.Module):
    """Image to features (n, channels, h / 4, w / 4), half of them of dilated convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // 2
        self.conv1, self.bn1 = nn.Conv2d(3, width // 2, 7, 2, 3, bias=False), nn.BatchNorm2d(width // 2)
        self.res1, self.res2 = Residual(width // 2, width), Residual(width, width)
        self.dilation = nn.Sequential(*(Conv(width, width, dilation=gap) for gap in (3, 3, 4, 4, 5, 5)))

    def forward(self, image: Tensor) -> Tensor:
        x = self.res1(F.leaky_relu(self.bn1(self.conv1(image)), SLOPE))
        x = self.res2(F.max_pool2d(x, 2))
        return torch.cat((x, self.dilation(x)), 1)


class Hourglass(nn.Module):
    """Features (n, widths[0], h, w) to those of every scale, each half as large as the one before."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.hg = nn.ModuleList()
        for i, (wide, wider) in enumerate(pairwise(widths)):
            levels = [Residual(wide, wide), Residual(wide, wider), Residual(wider, wide), Conv(wide, wide)]
            if i == len(widths) - 2:
                levels.append(Residual(wider, wider))
            self.hg.append(nn.ModuleList(levels))

    def forward(self, x: Tensor, level: int = 0) -> list[Tensor]:
        skip, down, up, smooth, *innermost = self.hg[level]  # pyright: ignore[reportGeneralTypeIssues]
        below = down(F.max_pool2d(x, 2))
        scales = [innermost[0](below)] if innermost else self(below, level + 1)
        return [skip(x) + smooth(F.interpolate(up(scales[0]), x.shape[2:])), *scales]


class Attention(nn.Module):
    """Scales channels by gates from their means (squeeze and excitation, arXiv 1709.01507)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        narrow = channels // reduction
        self.fc = nn.Sequential(
            nn.Linear(channels, narrow), nn.LeakyReLU(SLOPE), nn.Linear(narrow, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]


class Features(nn.Module):
    """The features of each scale, from which its maps are predicted."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        wide = widths[0]
        self.before_regress = nn.ModuleList(
            nn.Sequential(Conv(width, wide), Conv(wide, wide), Attention(wide)) for width in widths
        )

    def forward(self, scales: Sequence[Tensor]) -> list[Tensor]:
        return [layers(x) for layers, x in zip(self.before_regress, scales, strict=True)]


class _Merge(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = Conv(before, after, 1, active=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class BodyPartHead(nn.Module):
    """Features (n, channels, h, w) to `limbs` (n, limbs, h, w) and `heatmaps` (n, parts, h, w).

    Each of the `stacks` passes its features and maps of all scales on to the next one. `forward` gives the maps of each
    stack and scale: limbs, parts, and two of the background. `increase` more channels are in each smaller scale.
    """

    def __init__(self, parts: int, limbs: int, channels: int, *, increase: int, stacks: int) -> None:
        super().__init__()
        self.parts, self.limbs, maps = parts, limbs, limbs + parts + 2
        widths = [channels + increase * i for i in range(_SCALES)]
        self.hourglass = nn.ModuleList(Hourglass(widths) for _ in range(stacks))
        self.features = nn.ModuleList(Features(widths) for _ in range(stacks))

        def everywhere(count: int, kind: type[nn.Module], before: int, after: Sequence[int]) -> nn.ModuleList:
            return nn.ModuleList(nn.ModuleList(kind(before, width) for width in after) for _ in range(count))

        self.outs = nn.ModuleList(
            nn.ModuleList(Conv(channels, maps, 1, plain=True) for _ in widths) for _ in range(stacks)
        )
        self.merge_features = everywhere(stacks - 1, _Merge, channels, widths)
        self.merge_preds = everywhere(stacks - 1, _Merge, maps, widths)

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        stacks: list[list[Tensor]] = []
        carried: list[Tensor] = []
        for i, (hourglass, features, outs) in enumerate(zip(self.hourglass, self.features, self.outs, strict=True)):
            scales = hourglass(x)
            if carried:
                scales = [own + before for own, before in zip(scales, carried, strict=True)]
            scales = features(scales)
            maps = [out(scale) for out, scale in zip(outs, scales, strict=True)]  # pyright: ignore[reportArgumentType]
            stacks.append(maps)
            if i + 1 < len(self.hourglass):
                merges: object = zip(self.merge_preds[i], self.merge_features[i], maps, scales, strict=True)  # pyright: ignore[reportArgumentType]
                carried = [of_maps(own) + of_features(scale) for of_maps, of_features, own, scale in merges]  # pyright: ignore
                x = x + carried[0]
        return stacks

    def decode(self, stacks: Sequence[Sequence[Tensor]]) -> dict[str, Tensor]:
        maps = stacks[-1][0].float()
        return {"limbs": maps[:, : self.limbs], "heatmaps": maps[:, self.limbs : self.limbs + self.parts]}
