"""Calibration: the images, what they are to the network, the samples of its tensors, and the scales from them."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from detforge.deploy.card import Provenance
from detforge.export.calibrate import best_scale, calibration_images, observe, prepared, rounded
from detforge.export.photographs import make_up
from detforge.models.zoo import find

FEEDS = [np.random.default_rng(i).normal(0, 1, (1, 3, 16, 16)).astype(np.float32) for i in range(4)]


def network() -> onnx.ModelProto:
    """image > x, the same > a, its ReLU > y."""
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT16),
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Cast", ["a"], ["y"], to=TensorProto.FLOAT),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, 16, 16]) for name in ("image", "y")]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:])
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("kind", ["normal", "relu", "outlier", "shifted"])
def test_scale_has_the_least_error(kind: str, symmetric: bool) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, 4000)
    x = {"normal": x, "relu": np.maximum(x, 0), "outlier": np.append(x, 80.0), "shifted": x * 0.1 + 3}[kind]
    low, high = (-127, 127) if symmetric else (0, 255)
    scale = best_scale(x.astype(np.float32), low, high, symmetric)
    assert not symmetric or scale.zero == 0
    assert low <= scale.zero <= high

    def error(step: float, zero: int) -> float:
        """Of all values, one at a time."""
        return sum((min(max(round(v / step) + zero, low), high) * step - zero * step - v) ** 2 for v in x.tolist())

    least, most = min(0.0, x.min()), max(0.0, x.max())
    if symmetric:
        most = max(-least, most)
        least = -most
    naive = []
    for share in np.linspace(0.02, 1, 50):
        step = share * (most - least) / (high - low)
        naive.append(error(step, 0 if symmetric else round(-share * least / step)))
    assert error(scale.step, scale.zero) <= 1.05 * min(naive)


def test_zero_is_exact_and_constant_tensors_are_fine() -> None:
    for values in ([0.0, 0.0], [3.0, 3.0], [-2.0, -2.0], [-1.0, 5.0]):
        scale = best_scale(np.array(values, np.float32), 0, 255, False)
        assert rounded(np.zeros(1), scale)[0] == 0
        np.testing.assert_allclose(rounded(np.array(values), scale), values, atol=0.6 * scale.step)


def test_samples_are_the_values() -> None:
    samples = observe(network(), ["x", "a"], [{"image": feed} for feed in FEEDS], len(FEEDS))
    halves = [feed.astype(np.float16).astype(np.float32) for feed in FEEDS]
    np.testing.assert_array_equal(samples["x"], np.concatenate([half.ravel() for half in halves]))
    assert samples["a"].min() == 0


def test_large_tensors_are_sampled_evenly() -> None:
    many = 1 << 18
    samples = observe(network(), ["x"], [{"image": feed} for feed in FEEDS], many)["x"]
    row = FEEDS[0].astype(np.float16).astype(np.float32).ravel()
    np.testing.assert_array_equal(samples[: len(row[::385])], row[::385])  # 768 values, two of them: an odd step


def test_images_are_spread_over_the_folder(tmp_path: Path) -> None:
    for i in range(10):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((8, 8, 3), i, np.uint8))
    names = [Path(file).stem for file in calibration_images("int8", tmp_path, 4)]
    assert names == ["0", "2", "5", "7"]
    assert len(calibration_images("int8", tmp_path, 256)) == 10


@pytest.mark.parametrize("name", ["gfl_test", "simplebaseline_test", "higherhrnet_test"])
def test_images_pass_the_models_own_preprocessing(name: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "x.png"), make_up((90, 120), 0))
    variant = find(name)
    card = variant.card(variant.labels, Provenance("", None, "int8"))
    (fed,) = prepared([str(tmp_path / "x.png")], card, 2)
    batch = fed["image"]
    assert batch.shape[:2] == (2, 3)
    np.testing.assert_array_equal(batch[0], batch[1])
    assert abs(batch.mean()) < 2.5  # normalised, not 0..255
    if canvas := card.input.place.canvas:
        assert batch.shape[2:] == canvas
