"""Features of regions from the levels of a pyramid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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


def enlarged(regions: Tensor, factor: float) -> Tensor:
    """Regions (n, k, 4) xyxy px with sides `factor` times as long, about their centres."""
    low, high = regions.split(2, -1)
    centre, reach = (low + high) / 2, (high - low) * (factor / 2)
    return torch.cat((centre - reach, centre + reach), -1)
