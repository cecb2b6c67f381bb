"""Keypoints from maps of boxes, against PyTorch's bicubic interpolation in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cards import CARD
from found import candidates_in
from torch.nn import functional as F

from detforge.deploy.contract.fusion import Fusion
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Graph
from detforge.deploy.forms.beside import keypoints_within
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.deploy.system.errors import IncompatibleError
from detforge.models.skeletons import unlinked

BOXES = np.array(
    [
        [10.3, 5.2, 60.8, 155.1],
        [0.0, 0.0, 300.5, 80.0],  # wider than tall
        [70.1, 60.4, 70.3, 60.9],  # less than one px
        [5.0, 5.0, 61.0, 61.0],  # as large as the maps
        [20.5, 30.5, 40.0, 200.25],
    ],
    np.float32,
)
KEYPOINTS = 3
SKELETON = unlinked(("a", "b", "c"))


def maps(seed: int, side: int = 56) -> np.ndarray:
    """Maps of logits, mostly below 0, with some peaks near the border."""
    random = np.random.default_rng(seed)
    coarse = torch.tensor(random.normal(-3, 3, (len(BOXES), KEYPOINTS, side // 4, side // 4)))
    return F.interpolate(coarse, (side, side), mode="bilinear").numpy().astype(np.float32)


def test_keypoints_are_the_highest_pixels_of_enlarged_maps() -> None:
    heatmaps = maps(0)
    found = keypoints_within(heatmaps, BOXES, SKELETON).values
    for row, (x1, y1, x2, y2) in enumerate(BOXES.astype(np.float64)):
        width, height = max(x2 - x1, 1), max(y2 - y1, 1)
        size = int(np.ceil(height)), int(np.ceil(width))
        larger = F.interpolate(torch.tensor(heatmaps[row : row + 1]).double(), size, mode="bicubic")[0].numpy()
        for keypoint, (x, y, score) in enumerate(found[row]):
            v, u = np.unravel_index(larger[keypoint].argmax(), size)
            assert x == pytest.approx(x1 + (u + 0.5) * width / size[1], abs=1e-3)
            assert y == pytest.approx(y1 + (v + 0.5) * height / size[0], abs=1e-3)
            assert score == pytest.approx(larger[keypoint].max(), abs=1e-4)


def test_the_first_of_equal_pixels_is_taken() -> None:
    found = keypoints_within(np.zeros((len(BOXES), KEYPOINTS, 8, 8), np.float32), BOXES, SKELETON)
    for pose, (x1, y1, x2, y2) in zip(found.values, BOXES, strict=True):
        width, height = max(x2 - x1, 1), max(y2 - y1, 1)
        first = [x1 + 0.5 * width / np.ceil(width), y1 + 0.5 * height / np.ceil(height), 0]
        np.testing.assert_allclose(pose, np.tile(first, (KEYPOINTS, 1)), rtol=1e-6)


def test_as_many_maps_as_keypoints() -> None:
    with pytest.raises(IncompatibleError, match="3 maps of keypoints, its Card's skeleton has 2 keypoints"):
        keypoints_within(maps(0), BOXES, unlinked(("a", "b")))


def test_files_may_give_maps_and_the_quality_of_masks() -> None:
    n = len(BOXES)
    values = {
        "boxes": BOXES, "scores": np.array([0.9, 0.8, 0.7, 0.6, 0.01], np.float32), "labels": np.array([0, 1, 0, 1, 0]),
        "num": np.array(n), "heatmaps": maps(1), "quality": np.array([0.5, 0.9, 1.0, -0.2, 0.9], np.float32),
        "masks": np.random.default_rng(2).uniform(0, 1, (n, 28, 28)).astype(np.float32),
    }  # fmt: skip
    card = replace(CARD, form=Graph(), suppress=Suppress(conf=0.05), skeleton=SKELETON, fusion=Fusion(1.0, 1.0))
    assert card.missing(set(values)) == []
    assert card.missing(set(values) - {"heatmaps"}) == ["keypoints"]
    found = candidates_in(values, card, ResizedFrame((220, 320), (220, 320), (224, 320)))
    np.testing.assert_allclose(found.scores, values["scores"][:4] * values["quality"][:4], rtol=1e-6)
    np.testing.assert_array_equal(found.quality, values["quality"][:4])
    np.testing.assert_array_equal(found.keypoints, keypoints_within(values["heatmaps"], BOXES, SKELETON).values[:4])
    np.testing.assert_array_equal(found.columns["masks"].values, values["masks"][:4])
