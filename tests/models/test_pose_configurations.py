"""Keypoints that mmpose finds with its configurations, one for each layer and rule of its heads and codecs."""

import numpy as np
import pytest
import torch
from golden.reader import load_ops, rng, weight

from detforge.deploy.loader import assemble
from detforge.export.bench_peer import TorchBackend
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.config.text import read_text
from detforge.models.config.variant import describe

CASES = {case["name"]: case for case in load_ops("pose_configurations")}
NAMES = [f"kp{i}" for i in range(17)]
MIRRORED = [0, *(i + 1 if i % 2 else i - 1 for i in range(1, 17))]
MIRRORED[15], MIRRORED[16] = 16, 15
META = {"dataset_meta": {"keypoint_name2id": {name: i for i, name in enumerate(NAMES)}, "flip_indices": MIRRORED}}
BOXES = np.array([[100, 20, 260, 220], [-20, 30, 150, 120]], np.float32)


def photo() -> np.ndarray:
    """An image of squares of 8 px."""
    return np.repeat(np.repeat(rng("photo").integers(0, 256, (30, 40, 3)).astype(np.uint8), 8, 0), 8, 1)


@pytest.mark.parametrize("name", sorted(CASES))
def test_keypoints_are_those_of_the_framework(name: str) -> None:
    case = CASES[name]
    variant = describe(read_text(case["args"]["cfg"]), META).variant
    state = {key: torch.from_numpy(weight(key, tuple(shape), 1.0)) for key, shape in case["args"]["state"].items()}
    model = load_variant(variant, Checkpoint(state, name, None, None))
    card = variant.card(variant.labels, None)
    found = assemble(TorchBackend(model, card, "cpu"), card)(photo(), boxes=BOXES)
    keypoints, scores = found.keypoints[..., :2], found.keypoints[..., 2]
    expected = case["out"]["keypoints"]
    # A Newton step on a flat map, and an offset of many pixels, magnify the last digits.
    far = np.abs(expected - np.clip(expected, (0, 0), (320, 240))).max(-1, keepdims=True)
    np.testing.assert_array_less(np.abs(keypoints - expected), np.broadcast_to(0.02 + 1e-3 * far, expected.shape))
    np.testing.assert_allclose(scores, case["out"]["scores"], rtol=1e-4, atol=1e-4)
