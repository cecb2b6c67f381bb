"""TTFNet's targets (Liu et al., arXiv 1909.00700, section 3): cells near an object's centre, weighted by a Gaussian."""

import torch
from torch import Tensor

from .gaussians import draw_gaussian

STRIDE = 4


def ttf_targets(
    objects: Tensor, labels: Tensor, classes: int, size: tuple[int, int], alpha: float = 0.54, beta: float = 0.54
) -> tuple[Tensor, Tensor, Tensor]:
    """The heatmap (classes, h, w), the box (4, h, w) of each cell, -1 without one, and the weights (h, w) of its loss.

    Objects are (g, 4) xyxy px, labels (g,), `size` (h, w) is that of the maps at stride 4. `alpha` and `beta` are the
    radii of the Gaussians of heat and weights in half sides. The weights of an object add up to the logarithm of its
    area; where objects meet, the smaller one counts.
    """
    heat = objects.new_zeros(classes, *size)
    boxes, weights = objects.new_full((4, *size), -1.0), objects.new_zeros(size)
    areas = (objects[:, 2:] - objects[:, :2] + 1).prod(1).log()  # pixels, the last ones included
    limit = objects.new_tensor((size[1] - 1, size[0] - 1) * 2)
    cells = torch.minimum((objects / STRIDE).clamp(min=0), limit)
    for i in areas.argsort(descending=True).tolist():
        centre = tuple(int(value) for value in (objects[i, :2] + objects[i, 2:]) / 2 / STRIDE)
        sides = (cells[i, 2:] - cells[i, :2]) / 2
        draw_gaussian(heat[labels[i]], centre, tuple((sides * alpha).int().tolist()))
        share = objects.new_zeros(size)
        draw_gaussian(share, centre, tuple((sides * beta).int().tolist()))
        own = share > 0
        boxes[:, own] = objects[i, :, None]
        weights[own] = share[own] / share.sum() * areas[i]
    return heat, boxes, weights
