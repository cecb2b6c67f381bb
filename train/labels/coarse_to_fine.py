"""MSPN's labels (Li et al., arXiv 1901.00148, section 3.3): blurred cells, larger for the coarser outputs."""

import cv2
import numpy as np
import torch
from torch import Tensor

KERNELS = (15, 11, 9, 7)
"""Of the four outputs of a stage, coarsest first."""

LAST_KERNELS = (11, 9, 7, 5)
"""Of those of the last stage."""

PEAK = 255.0


def blurred_maps(points: Tensor, size: tuple[int, int], kernel: int) -> Tensor:
    """Maps (..., h, w) with 255 at the cell of each point, blurred by OpenCV's Gaussian kernel of that many px; empty
    for points outside."""
    cells = points.floor().long()
    limit = torch.tensor((size[1], size[0]), device=points.device)
    inside = ((cells >= 0) & (cells < limit)).all(-1)
    x, y = (_blurred(count, kernel, points)[cells[..., i].clamp(0, count - 1)] for i, count in enumerate(size[::-1]))
    maps = y[..., :, None] * x[..., None, :]
    peaks = _at(x, cells[..., 0]) * _at(y, cells[..., 1])
    return maps * (PEAK * inside / peaks)[..., None, None]


def _blurred(count: int, kernel: int, like: Tensor) -> Tensor:
    """Row i: a line of `count` cells with 1 at cell i, blurred."""
    lines = cv2.GaussianBlur(np.eye(count, dtype=np.float32), (kernel, 1), 0)
    return torch.from_numpy(lines).to(like)


def _at(lines: Tensor, cells: Tensor) -> Tensor:
    return lines.gather(-1, cells.clamp(0, lines.shape[-1] - 1)[..., None]).squeeze(-1)
