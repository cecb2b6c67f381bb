"""D2Det's second stage (Cao et al., "D2Det: Towards High Quality Object Detection and Instance Segmentation",
CVPR 2020): classes from deformable, weighted pooling, and boxes as the mean of what the cells of a region say."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...plugins.core.regions import level_of
from ...plugins.deform_roi_pool.op import deform_roi_pool
from ..blocks import ConvNorm, Norm, renorm
from ..regions import RegionFeatures

_SHIFT = 0.1  # of a region's sides, for a learned offset of 1
_SHARPNESS = 12


class WeightedPool(nn.Module):
    """Halves the sides of maps by means whose weights the maps themselves give."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.ModuleDict(
            {
                "conv": nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                "bn": nn.GroupNorm(channels, channels),  # each channel of each map by itself
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        logits = self.weight["bn"](self.weight["conv"](x))
        # A factor that all weights share does not change a mean; this one keeps them below 1, as half precision needs.
        weight = ((logits.float().sigmoid() - 1) * _SHARPNESS).exp()
        total, weighted = (F.avg_pool2d(y, 3, 2, 1) for y in (weight, x.float() * weight))
        return (weighted / total).to(x.dtype)


class _DeformableLayer(nn.Module):
    """The layers behind the pooled features of one level's regions."""

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        self.size = size
        self.offset_fc = nn.Sequential(
            nn.Linear(channels * 9, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 2 * size * size),
        )
        self.awp = WeightedPool(channels)

    def offsets(self, coarse: Tensor) -> Tensor:
        """Learned offsets (r, 2, 2 * size, 2 * size), x then y, from the features (r, channels, 3, 3) of regions."""
        offsets = self.offset_fc(coarse.flatten(1)).unflatten(1, (2, self.size, self.size))
        return F.interpolate(offsets, scale_factor=2, mode="nearest")

    def weighted(self, fine: Tensor) -> Tensor:
        """The features (r, channels, size, size) of regions, from those with twice the sides."""
        return self.awp(fine)


class DeformableRegions(nn.Module):
    """Levels and regions (n, k, 4) xyxy px to features (n, k, channels, size, size), by layers of each level's own.

    A region's bins are moved by offsets that its features in 3x3 bins give. Each bin has `samples` points per side.
    """

    def __init__(self, features: RegionFeatures, channels: int, width: int, samples: int) -> None:
        super().__init__()
        self.features, self.samples = features, samples
        layers = (_DeformableLayer(channels, features.size, width) for _ in range(features.levels))
        self.roi_layers = nn.ModuleList(layers)

    def forward(self, levels: Sequence[Tensor], regions: Tensor) -> Tensor:
        shape, last = regions.shape[:2], regions.new_tensor((0, 0, 1, 1))
        rounded, regions = (regions + 0.5).floor() + last, regions + last
        of_level = level_of(regions.flatten(0, 1), self.features.levels, self.features.finest)
        own = [(of_level == i).nonzero()[:, 0] for i in range(self.features.levels)]

        def pooled(offsets: Tensor) -> Tensor:
            given, size = list(levels[: self.features.levels]), offsets.shape[-2:]
            shifts = offsets.float().unflatten(0, shape) * _SHIFT
            parts = self.features.stride, self.samples, self.features.finest
            return deform_roi_pool(given, regions, shifts, size, *parts, rounded).flatten(0, 1)

        offsets = self._by_level("offsets", pooled(regions.new_zeros(shape.numel(), 2, 3, 3)), own)
        return self._by_level("weighted", pooled(offsets), own).unflatten(0, shape)

    def _by_level(self, step: str, features: Tensor, own: Sequence[Tensor]) -> Tensor:
        """A step of each level's layers for the features (r, ...) of its `own` regions, in the order of all regions."""
        results: list[Tensor] = []
        for layer, places in zip(self.roi_layers, own, strict=True):
            # Runtimes cannot run every operator on nothing, so each level also takes the first region.
            taken = F.pad(places, (1, 0))
            results.append(getattr(layer, step)(features[taken])[1:])
        places = torch.cat(list(own))
        joined = torch.cat(results)
        return torch.zeros_like(joined).index_copy(0, places, joined)


class DenseBoxHead(nn.Module):
    """Features of regions (n, k, channels, size, size) to what each of their cells, half as many, says of the box.

    `forward` gives `sides` (n, k, 4, h, w), the distances from a cell to the left, right, top and bottom side, in
    widths and heights of the region, and `inside` (n, k, 1, h, w), the logit that the cell is in the box.
    """

    def __init__(self, channels: int = 256, width: int = 576, convs: int = 8) -> None:
        super().__init__()
        first = ConvNorm(channels, width, 3, stride=2, norm="gn")
        others = (ConvNorm(width, width, 3, norm="gn") for _ in range(convs - 1))
        self.convs = renorm(nn.Sequential(first, *others), Norm("gn", groups=width // 16))
        self.D2Det_reg = nn.Conv2d(width, 4, 3, padding=1)
        self.D2Det_mask = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        x, shape = self.convs(features.flatten(0, 1)), features.shape[:2]
        sides, inside = self.D2Det_reg(x).relu(), self.D2Det_mask(x)
        return {"sides": sides.unflatten(0, shape), "inside": inside.unflatten(0, shape)}

    def boxes(self, logits: dict[str, Tensor], regions: Tensor) -> Tensor:
        """The mean boxes (n, k, 4) xyxy px of the cells inside, in regions (n, k, 4) xyxy px; 0 where there are none.

        In fp32.
        """
        inside, (left, right, top, bottom) = logits["inside"][:, :, 0] > 0, logits["sides"].float().unbind(2)
        low, high = regions[..., None, None].split(2, 2)
        (width, height), (x, y) = (high - low).unbind(2), low.unbind(2)
        rows, columns = inside.shape[2:]
        x = x + width * (torch.arange(columns, device=x.device) + 0.5) / columns
        y = y + height * (torch.arange(rows, device=y.device)[:, None] + 0.5) / rows
        boxes = torch.stack((x - left * width, y - top * height, x + right * width, y + bottom * height), -1)
        return (boxes * inside[..., None]).sum((2, 3)) / (inside.sum((2, 3)) + 1e-5)[..., None]
