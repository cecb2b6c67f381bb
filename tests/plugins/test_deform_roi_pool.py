"""Deformable RoI pooling and the RoIAlign of mmdet 0.x against D2Det's kernels."""

from typing import Any

import numpy as np
import pytest
from golden.reader import load_ops
from region_goldens import by_c_function, by_torch, one_box_per_image

GOLDENS = {case["name"]: case for case in load_ops("deform_roi_pool")}


@pytest.mark.parametrize("run", [by_torch, by_c_function])
@pytest.mark.parametrize("name", GOLDENS)
def test_equals_d2det(name: str, run: Any) -> None:
    case: dict[str, Any] = GOLDENS[name]
    how, expected = case["args"], case["out"]["y"]
    x, boxes, regions = one_box_per_image(case["in"]["x"], case["in"]["rois"])
    size, stride = how["out_size"], round(1 / how["spatial_scale"])
    attributes = {"output_height": size, "output_width": size, "stride": stride}
    one = np.array([0, 0, 1, 1], np.float32)
    if name.startswith("roi_align"):
        attributes |= {"sampling_ratio": how["sample_num"], "aligned": 0, "minimum": 0, "finest_scale": 56}
        result = run("RoiAlign1", [x, boxes, regions + one], attributes)
    else:
        shifts = how["trans_std"] * case["in"].get("offset", np.zeros((len(x), 2, size, size)))
        attributes |= {"samples": how["sample_per_part"], "finest_scale": 56}
        inputs = [x, boxes, np.floor(regions + 0.5) + one, shifts.reshape(len(x), 1, 2, -1).astype(np.float32)]
        result = run("DeformRoiPool1", inputs, attributes)
    np.testing.assert_allclose(result.reshape(expected.shape), expected, atol=1e-5)
