"""BezierAlign against the authors' numbers."""

from typing import Any

import numpy as np
import pytest
from golden.reader import load_ops, positions
from region_goldens import by_c_function, by_torch

GOLDENS = {case["name"]: case for case in load_ops("bezier_align")}
RUNS = pytest.mark.parametrize("run", [by_torch, by_c_function])


@RUNS
@pytest.mark.parametrize("rule", ["cuda", "cpu"])
def test_equals_the_authors(run: Any, rule: str) -> None:
    """The rule of their CPU code leaves out half a cell."""
    case: dict[str, Any] = GOLDENS[f"bezier_align_{rule}_sr1"]
    x, rois, how = case["in"]["x"], case["in"]["rois"], case["args"]
    stride, (height, width) = round(1 / how["spatial_scale"]), how["output_size"]
    curves = rois[:, None, 1:] + np.float32(stride / 2 if rule == "cpu" else 0)
    inputs = [np.ascontiguousarray(x[rois[:, 0].astype(int)]), np.ascontiguousarray(curves)]
    y = run(
        "BezierAlign1",
        inputs,
        {"output_height": height, "output_width": width, "stride": stride, "finest_scale": 48},
    )
    assert y.size == np.prod(how["shape"])
    seed = how["sample"].split('"')[1]
    np.testing.assert_allclose(y.ravel()[positions(seed, y.size, 4000)], case["out"]["y"], rtol=1e-4, atol=1e-4)


@RUNS
def test_levels_are_the_authors(run: Any) -> None:
    """Each map has the number of its level in all cells."""
    case: dict[str, Any] = GOLDENS["bezier_levels"]
    curves, expected = case["in"]["beziers"], case["out"]["level"]
    assert len(set(expected.tolist())) > 1
    levels = [np.full((1, 1, 256 >> i, 256 >> i), i, np.float32) for i in range(3)]
    sizes = {"output_height": 1, "output_width": 1, "stride": 4, "finest_scale": 48}
    np.testing.assert_array_equal(run("BezierAlign3", [*levels, curves[None]], sizes).ravel(), expected)
