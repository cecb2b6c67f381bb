"""Features of regions from the levels of a pyramid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..plugins.prroi_pool.op import prroi_pool
from ..plugins.roi_align.op import roi_align

Pooling = Callable[..., Tensor]
"""The levels of a pyramid and regions to the features of each, such as `RegionFeatures`, or a module."""


@dataclass(frozen=True)
class RegionFeatures:
    """The first levels (n, c, h, w) of a pyramid and regions (n, k, 4) xyxy px to features (n, k, c, size, size).

    Each region is pooled from one level, by RoIAlign with `sampling` points per side of a bin, 0 for one per cell. The
    finest of the `levels` has the stride `stride`; regions whose area has a root below 2 * `finest` px are pooled from
    it, those below 4 * `finest` px from the next, and so on. `aligned` ones are half a cell further up and left.
    `inclusive` regions end at their last pixel (mmdet before 1.1).
    """

    levels: int = 4
    stride: int = 4
    size: int = 7
    sampling: int = 0
    aligned: bool = True
    finest: int = 56
    inclusive: bool = False

    def __call__(self, levels: Sequence[Tensor], regions: Tensor, pooled: Tensor | None = None) -> Tensor:
        """The features of regions, or of those `pooled` in their place from the levels of the former."""
        least = 0 if self.aligned or self.inclusive else 1
        if self.inclusive:
            last = regions.new_tensor((0, 0, 1, 1))
            regions, pooled = regions + last, None if pooled is None else pooled + last
        return roi_align(
            list(levels[: self.levels]),
            regions,
            (self.size, self.size),
            self.stride,
            self.sampling,
            self.aligned,
            least,
            self.finest,
            pooled,
        )


class StageFeatures(nn.Module):
    """Regions' features behind the last stage of a backbone, `layer4`, which halves their size."""

    def __init__(self, features: RegionFeatures, layer4: nn.Module) -> None:
        super().__init__()
        self.features, self.layer4 = features, layer4

    def forward(self, levels: Sequence[Tensor], regions: Tensor) -> Tensor:
        x = self.features(levels, regions)
        return self.layer4(x.flatten(0, 1)).unflatten(0, x.shape[:2])


@dataclass(frozen=True)
class PreciseFeatures:
    """As `RegionFeatures`, but exact means (Jiang et al., arXiv 1807.11590, equation 5), which have a gradient by the
    corners of a region."""

    levels: int = 4
    stride: int = 4
    size: int = 7
    finest: int = 56

    def __call__(self, levels: Sequence[Tensor], regions: Tensor) -> Tensor:
        """The features (n, k, c, size, size) of regions (n, k, 4) xyxy px."""
        return self._pooled(levels, regions, regions, (self.size, self.size))

    def slope(self, levels: Sequence[Tensor], regions: Tensor, features: Tensor, gradient: Tensor) -> Tensor:
        """The gradient (n, k, 4) by the corners, times the side along each axis, from the `gradient` by the features.

        By its edges, the mean m over a bin of width w has the derivatives (m - left) / w and (right - m) / w, where
        left and right are the means over these edges. Each edge moves with both corners, by its share of the side.
        """
        shares = torch.arange(self.size + 1, device=regions.device) / self.size
        slopes: list[Tensor] = []
        for axis in (0, 1):
            across = features if axis == 0 else features.transpose(3, 4)
            weight = gradient if axis == 0 else gradient.transpose(3, 4)
            lines = self._lines(levels, regions, axis, shares)
            by_low, by_high = across - lines[..., :-1], lines[..., 1:] - across
            for moves in (1 - shares, shares):
                change = (by_low * moves[:-1] + by_high * moves[1:]) * weight
                slopes.append(self.size * change.float().sum((2, 3, 4)))
        left, right, top, bottom = slopes
        return torch.stack((left, top, right, bottom), -1)

    def _lines(self, levels: Sequence[Tensor], regions: Tensor, axis: int, shares: Tensor) -> Tensor:
        """The means (n, k, c, size, size + 1) over the parts of lines across an axis, at `shares` of the side."""
        low, high = regions[..., axis, None], regions[..., axis + 2, None]
        places = low + (high - low) * shares
        start, end = (regions[..., i, None].expand_as(places) for i in (1 - axis, 3 - axis))
        corners = [places - THIN, start, places + THIN, end]
        strips = torch.stack(corners if axis == 0 else [corners[i] for i in (1, 0, 3, 2)], -1)
        boxes = regions[:, :, None].expand_as(strips)
        bins = (self.size, 1) if axis == 0 else (1, self.size)
        pooled = self._pooled(levels, boxes.flatten(1, 2), strips.flatten(1, 2), bins).flatten(3)
        return pooled.unflatten(1, (-1, len(shares))).permute(0, 1, 3, 4, 2)

    def _pooled(self, levels: Sequence[Tensor], boxes: Tensor, regions: Tensor, bins: tuple[int, int]) -> Tensor:
        return prroi_pool(list(levels[: self.levels]), boxes, bins, self.stride, self.finest, regions)


THIN = 1 / 16
"""Half the width, in px, of the strip that stands for a line: the surface bends at cells alone, which are larger."""


def enlarged(regions: Tensor, factor: float) -> Tensor:
    """Regions (n, k, 4) xyxy px with sides `factor` times as long, about their centres."""
    low, high = regions.split(2, -1)
    centre, reach = (low + high) / 2, (high - low) * (factor / 2)
    return torch.cat((centre - reach, centre + reach), -1)
