"""Poly-scale convolutions in groups, as in ResNeXt, against their definition."""

import numpy as np
import torch
from torch.nn import functional as F

from detforge.models.backbones.psconv import PSConv


def test_each_group_swaps_its_own_halves() -> None:
    torch.manual_seed(0)
    layer, x = PSConv(32, 2, groups=2).double(), torch.randn(1, 32, 9, 8, dtype=torch.float64)
    halves = [*range(8, 16), *range(8), *range(24, 32), *range(16, 24)]
    with torch.inference_mode():
        expected = F.conv2d(x, layer.conv.weight, None, 2, 1, 1, 2)
        expected += F.conv2d(x, layer.gwconv.weight, None, 2, 2, 2, 8)
        expected += F.conv2d(x[:, halves], layer.gwconv_shift.weight, None, 2, 4, 4, 8)
        np.testing.assert_allclose(layer(x).numpy(), expected.numpy(), atol=1e-12)
