"""Points of dense heads against mmdet's prior generators."""

import numpy as np
import pytest
import torch
from golden.reader import load_ops

from detforge.models.points import grid_points

CASES = {case["name"]: case for case in load_ops("points")}


@pytest.mark.parametrize("name", CASES)
def test_points_equal_mmdet(name: str) -> None:
    case = CASES[name]
    generator = case["args"]["cfg"]
    sizes = case["args"]["featmap_sizes"]
    points, strides = grid_points(sizes, generator["strides"], torch.zeros(()), generator["offset"])
    expected = np.concatenate([case["out"][f"level{i}"] for i in range(len(sizes))])
    np.testing.assert_array_equal(points.numpy(), expected[:, :2])
    np.testing.assert_array_equal(strides.numpy(), expected[:, 2:3])
