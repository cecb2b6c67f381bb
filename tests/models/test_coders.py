"""Box coders against mmdet's, whose golden boxes are cut at the image."""

from typing import Any

import numpy as np
import pytest
import torch
from golden.reader import load_ops

from detforge.models.coders import deltas_to_boxes, distances_to_boxes

CASES = {case["name"]: case for case in load_ops("coders")}
DELTAS = [name for name in CASES if name != "decode_distance"]


def cut(boxes: torch.Tensor, case: dict[str, Any], last: int) -> np.ndarray:
    height, width = case["args"]["max_shape"]
    if not case["args"].get("cfg", {}).get("clip_border", True):
        return boxes.numpy()
    return np.clip(boxes.numpy(), 0, np.array([width, height] * 2) - last)


@pytest.mark.parametrize("name", DELTAS)
def test_deltas_equal_mmdet(name: str) -> None:
    case = CASES[name]
    # Of old, mmdet 3 keeps the wider priors and leaves out the half pixel that the corners then came in by.
    inclusive = name == "decode_legacy"
    x1, y1, x2, y2 = torch.from_numpy(case["in"]["priors"]).unbind(1)
    priors = torch.stack(((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1 + inclusive, y2 - y1 + inclusive), 1)
    stds = case["args"]["cfg"].get("target_stds", [1.0] * 4)
    boxes = deltas_to_boxes(torch.from_numpy(case["in"]["preds"])[None], priors, stds)[0]
    np.testing.assert_allclose(cut(boxes, case, inclusive), case["out"]["boxes"], rtol=1e-5, atol=1e-3)


def test_distances_equal_mmdet() -> None:
    case = CASES["decode_distance"]
    boxes = distances_to_boxes(*(torch.from_numpy(case["in"][name]) for name in ("preds", "points")))
    np.testing.assert_allclose(cut(boxes, case, 0), case["out"]["boxes"], rtol=1e-6, atol=1e-4)


def test_inclusive_boxes_equal_maskrcnn_benchmark() -> None:
    """Its formula: priors and boxes of width x2 - x1 + 1, a centre half of that after x1, weights 10 and 5."""
    rng = np.random.default_rng(0)
    x1y1 = rng.uniform(0, 90, (50, 2))
    x2y2 = x1y1 + rng.uniform(0, 40, (50, 2))
    deltas = rng.normal(0, 1, (50, 4))
    sides = x2y2 - x1y1 + 1
    centres = x1y1 + 0.5 * sides + deltas[:, :2] / 10 * sides
    grown = np.exp(deltas[:, 2:] / 5) * sides
    expected = np.concatenate((centres - 0.5 * grown, centres + 0.5 * grown - 1), 1)
    priors = torch.from_numpy(np.concatenate(((x1y1 + x2y2) / 2, sides), 1))
    boxes = deltas_to_boxes(torch.from_numpy(deltas)[None], priors, (0.1, 0.1, 0.2, 0.2), True)
    np.testing.assert_allclose(boxes[0].numpy(), expected, atol=1e-9)


def test_growth_is_bounded() -> None:
    deltas = torch.tensor([[[0.0, 0.0, 100.0, -100.0]]])
    boxes = deltas_to_boxes(deltas, torch.tensor([[50.0, 50.0, 16.0, 16.0]]))
    assert boxes[0, 0].tolist() == pytest.approx([50 - 500, 50 - 0.128, 50 + 500, 50 + 0.128], rel=1e-5)
