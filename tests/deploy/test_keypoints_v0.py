"""Keypoints of maps as mmpose 0.x decodes them, with peaks at borders and maps that are cut at their limits."""

import numpy as np
import pytest
from golden.reader import load_ops, rng
from numpy.typing import NDArray

from detforge.deploy.forms import Heatmaps, Offsets

CASES = {case["name"]: case for case in load_ops("keypoints_v0")}
FORMS = {
    "default": Heatmaps("quarter", rule="mmpose0"),
    "unbiased": Heatmaps("dark"),
    "udp": Heatmaps("udp", rule="mmpose0"),
    "combined": Offsets(0.0546875 * 16, blur=11, offset_blur=5),
}


def maps(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Noise and one bump for each map, some of them beyond a border, high or negative."""
    draw = rng(f"v0/{name}")
    found = draw.normal(0, 0.05, shape)
    y, x = np.mgrid[: shape[2], : shape[3]]
    for i in np.ndindex(*shape[:2]):
        centre = draw.uniform(-0.5, shape[3] - 0.5), draw.uniform(-0.5, shape[2] - 0.5)
        found[i] += draw.choice([1, 1, 1, 80, -1]) * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 8)
    return found.astype(np.float32)


@pytest.mark.parametrize("name", sorted(CASES))
def test_keypoints_are_those_of_mmpose_0(name: str) -> None:
    n, k, h, w = CASES[name]["args"]["shape"]
    channels = CASES[name]["args"]["channels"]
    values = maps(name, (n, k * channels, h, w)).reshape(n, k, channels, h, w)
    outputs = {"heatmaps": values[:, :, 0], "offsets": values[:, :, 1:]}
    points, scores = FORMS[name].points(outputs, None, np.arange(k))
    expected = CASES[name]["out"]["points"]
    far = np.abs(expected - np.clip(expected, 0, (w, h))).max(-1, keepdims=True)  # steps on flat maps
    np.testing.assert_array_less(np.abs(points - expected), np.broadcast_to(0.002 + 0.01 * far, expected.shape))
    np.testing.assert_allclose(scores, CASES[name]["out"]["scores"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["default", "udp"])
def test_the_newer_rule_differs(name: str) -> None:
    n, k, h, w = CASES[name]["args"]["shape"]
    outputs = {"heatmaps": maps(name, (n, k, h, w))}
    newer, _ = Heatmaps(FORMS[name].method).points(outputs, None, np.arange(k))
    assert np.abs(newer - CASES[name]["out"]["points"]).max() > 0.2
