"""Pooling to a given size against torch's own, which cannot be exported."""

import pytest
import torch
from torch.nn import functional as F

from detforge.models.pooling import adaptive_max


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_windows_are_those_of_torch(factor: int) -> None:
    for height in range(1, 4 * factor + 1):
        x = torch.randn(2, 3, height, 2 * factor + 1)
        size = (-(-height // factor), 3)
        torch.testing.assert_close(adaptive_max(x, size, factor), F.adaptive_max_pool2d(x, size), rtol=0, atol=0)
