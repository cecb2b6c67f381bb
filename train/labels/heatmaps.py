"""Gaussians of height 1 around keypoints."""

import torch
from torch import Tensor

from ..losses.precision import in_fp32


@in_fp32
def unbiased_maps(points: Tensor, size: tuple[int, int], sigma: float = 2.0) -> Tensor:
    """Maps (..., h, w) around the exact points (DARK, Zhang et al., arXiv 1910.06278, section 3.3).

    Points are not rounded, since the network would learn the rounding.
    """
    x, y = _curves(points, size, sigma)
    return y[..., :, None] * x[..., None, :]


@in_fp32
def quantised_maps(points: Tensor, size: tuple[int, int], sigma: float = 2.0) -> Tensor:
    """Maps (..., h, w) around the nearest cell, 0 beyond 3 sigma on an axis (SimpleBaseline, Xiao et al.,
    arXiv 1804.06208)."""
    cells = _nearest(points)
    return _windowed(cells, cells, size, sigma)


@in_fp32
def windowed_maps(points: Tensor, size: tuple[int, int], sigma: float = 2.0) -> Tensor:
    """Maps (..., h, w) around the exact points, 0 beyond 3 sigma from the nearest cell on an axis (UDP, Huang et al.,
    arXiv 1911.07524)."""
    return _windowed(points, _nearest(points), size, sigma)


def reaches(points: Tensor, size: tuple[int, int], sigma: float = 2.0) -> Tensor:
    """Whether the Gaussian of each point, up to 3 sigma from its nearest cell, reaches the map: (...,) bool.

    A keypoint farther out has no label, and its loss no weight.
    """
    cells, reach = _nearest(points), 3 * sigma
    last = points.new_tensor((size[1] - 1, size[0] - 1))
    return ((cells + reach >= -1) & (cells - reach <= last)).all(-1)


def _nearest(points: Tensor) -> Tensor:
    """The cells nearest to points; left of and above the map those nearer to it, as in the references."""
    return (points + 0.5).trunc()


def _windowed(points: Tensor, cells: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    near_x, near_y = (steps.abs() <= 3 * sigma for steps in _steps(cells, size))
    x, y = _curves(points, size, sigma)
    return (y * near_y)[..., :, None] * (x * near_x)[..., None, :]


def _curves(points: Tensor, size: tuple[int, int], sigma: float) -> tuple[Tensor, Tensor]:
    x, y = (torch.exp(-(steps**2) / (2 * sigma**2)) for steps in _steps(points, size))
    return x, y


def _steps(points: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Distances (..., w) and (..., h) of the cells from points, on both axes."""
    x, y = (torch.arange(count, device=points.device, dtype=points.dtype) for count in reversed(size))
    return x - points[..., :1], y - points[..., 1:]
