"""PoseFix against its authors' numbers: the maps of a given pose, the network's, and the refined places."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from golden.reader import Sample, load_ops, picture, positions, weight

from detforge.deploy.inputs.network_inputs import PoseInput, View
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.zoo import find

SIZE = (384, 288)


@pytest.fixture(scope="module")
def case() -> dict[str, Any]:
    (only,) = load_ops("posefix")
    return only


def sample(case: dict[str, Any], tag: str, name: str) -> Sample:
    shape, std, recorded = case["args"]["raw"][name]
    places = positions(f"{tag}/raw/{name}", int(np.prod(shape)), recorded)[::8]
    return Sample(tuple(shape), std, places, case["out"][name])


def maps_of(case: dict[str, Any]) -> tuple[PoseInput, np.ndarray]:
    """The input of poses and its maps for the given pose, on a crop as large as the image."""
    (entry,) = find("posefix_r152_384").other_inputs
    assert isinstance(entry, PoseInput)
    pose = np.concatenate((case["in"]["pose"], np.ones((17, 1))), 1).astype(np.float32)
    maps = np.zeros((1, 17, *SIZE), np.float32)
    frame: Any = SimpleNamespace(to_canvas=lambda points: points)
    entry.fill(maps, [View(np.zeros((*SIZE, 3), np.uint8), frame, keypoints=pose)], 1)
    return entry, maps


def test_a_pose_becomes_the_authors_maps(case: dict[str, Any]) -> None:
    difference, where = sample(case, "a", "input_hm").difference(maps_of(case)[1])
    assert difference < 1e-5, where


@pytest.mark.slow
def test_the_network_and_its_places_are_the_authors(case: dict[str, Any]) -> None:
    variant = find("posefix_r152_384")
    state = {
        key: torch.from_numpy(case["in"]["bias"] if gain is None else weight(key, tuple(shape), gain))
        for key, shape, gain in case["args"]["state"]
    }
    model = load_variant(variant, Checkpoint(state, "posefix", None, None))
    entry, maps = maps_of(case)
    image = picture(*SIZE, 0)[None]
    views = [(image, maps), (np.ascontiguousarray(image[..., ::-1]), entry.mirrored(maps))]
    with torch.inference_mode():
        outputs = [{k: v.numpy() for k, v in model(*map(torch.from_numpy, view)).items()} for view in views]
    for tag, name, given in (("a", "logits", outputs[0]), ("flip", "flipped_logits", outputs[1])):
        difference, where = sample(case, tag, name).difference(given["heatmaps"])
        assert difference < 1e-4, where
    for tag, mirrored in (("a", None), ("flip", outputs[1])):
        places, _ = variant.form.parts(outputs[0], mirrored, variant.skeleton, SIZE, False)
        np.testing.assert_allclose(places * SIZE[::-1], case["out"][tag], atol=2e-3)
