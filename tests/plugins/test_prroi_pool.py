"""Precise RoI pooling against a float64 definition."""

from typing import Any

import numpy as np
import pytest
from golden.reader import load_ops
from region_goldens import by_c_function, by_torch, one_box_per_image

GOLDENS = {case["name"]: case for case in load_ops("prroi_pool")}


@pytest.mark.parametrize("run", [by_torch, by_c_function])
@pytest.mark.parametrize("name", GOLDENS)
def test_equals_the_definition(name: str, run: Any) -> None:
    case: dict[str, Any] = GOLDENS[name]
    how, expected = case["args"], case["out"]["y"]
    attributes = {
        "output_height": how["output_size"],
        "output_width": how["output_size"],
        "stride": round(1 / how["spatial_scale"]),
        "finest_scale": 56,
    }
    inputs = one_box_per_image(case["in"]["x"], case["in"]["rois"])
    np.testing.assert_allclose(run("PrRoiPool1", inputs, attributes).reshape(expected.shape), expected, atol=1e-5)
