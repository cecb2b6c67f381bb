"""SSD and SSDLite of torchvision against its detections, and its names of weights."""

import numpy as np
import pytest
import torch
from golden.reader import load_ops, rng, weight

from detforge.deploy.loader import assemble
from detforge.export.bench_peer import TorchBackend
from detforge.models.checkpoint import Checkpoint, fits, load_variant
from detforge.models.zoo import VARIANTS, find

CASES = {case["name"]: case for case in load_ops("torchvision_ssd")}
NAMES = [name.removeprefix("state_") for name in CASES if name.startswith("state_")]


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_found_by_their_names_and_shapes(name: str) -> None:
    state = {key: torch.empty(shape, device="meta") for key, shape in CASES[f"state_{name}"]["args"]["state"].items()}
    others = [other for other in VARIANTS if "ssd" in other]
    assert [one for one in others if fits(find(one), Checkpoint(state, name, None, None))] == [name]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name.removeprefix("found_") for name in CASES if name.startswith("found_")])
def test_detections_are_torchvisions(name: str) -> None:
    """The best of each class are kept before suppression; image, anchors and boxes are as there."""
    case, variant = CASES[f"found_{name}"], find(name)
    state = {key: torch.from_numpy(weight(key, tuple(shape), gain)) for key, shape, gain in case["args"]["state"]}
    model = load_variant(variant, Checkpoint(state, name, None, None))
    card = variant.card(("", "a", "b", "c"), None)
    height, width = case["args"]["size"]
    image = rng("photo").integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8)
    found = assemble(TorchBackend(model, card, "cpu"), card)(np.repeat(np.repeat(image, 8, 0), 8, 1))
    assert len(found) == len(case["out"]["scores"]) == variant.suppress.max_det
    np.testing.assert_allclose(found.scores, case["out"]["scores"], atol=2e-4)
    same = (found.labels == case["out"]["labels"]) & (np.abs(found.boxes - case["out"]["boxes"]) < 0.05).all(1)
    assert same.mean() > 0.97  # of two nearly equal scores either may come first
