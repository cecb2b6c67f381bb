"""RoIAlign against mmcv's numbers."""

from typing import Any

import numpy as np
import pytest
import torch
from golden.reader import load_ops

from detforge.plugins.roi_align.op import roi_align

GOLDENS = {case["name"]: case for case in load_ops("roi_align")}


def boxes_by_image(rois: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Rows (image, x1, y1, x2, y2) as boxes (n, k, 4), padded with empty ones, and the (image, place) of each row."""
    images = rois[:, 0].astype(int)
    places = np.array([(images[:i] == image).sum() for i, image in enumerate(images)])
    boxes = np.zeros((images.max() + 1, places.max() + 1, 4), np.float32)
    boxes[images, places] = rois[:, 1:]
    return boxes, (images, places)


@pytest.mark.parametrize("name", GOLDENS)
def test_torch_reference_equals_mmcv(name: str) -> None:
    case: dict[str, Any] = GOLDENS[name]
    x, rois, how = case["in"]["x"], case["in"]["rois"], case["args"]
    boxes, rows = boxes_by_image(rois)
    pooled = roi_align(
        [torch.from_numpy(x)],
        torch.from_numpy(boxes),
        how["output_size"],
        round(1 / how["spatial_scale"]),
        how["sampling_ratio"],
        how["aligned"],
        0 if how["aligned"] else 1,
    )
    np.testing.assert_allclose(pooled.numpy()[rows], case["out"]["y"], atol=1e-5, rtol=1e-5)
