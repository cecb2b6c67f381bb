"""TAT's maps against their definition in float64: it has no code of its authors."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from detforge.models.checkpoint import random_model
from detforge.models.zoo import find

Array = NDArray[np.float64]


def convolved(x: Array, weight: Array, bias: Array) -> Array:
    """A convolution (c, h, w) with stride 1 that keeps the size."""
    side, (height, width) = weight.shape[2], x.shape[1:]
    padded = np.pad(x, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
    total = np.zeros((len(weight), height, width)) + bias[:, None, None]
    for i in range(side):
        for j in range(side):
            total += np.einsum("oc,chw->ohw", weight[:, :, i, j], padded[:, i : i + height, j : j + width])
    return total


def doubled(x: Array) -> Array:
    """Twice the size, bilinear, the first and last px of both sizes in the same place."""
    for axis in (1, 2):
        places = np.arange(2 * x.shape[axis]) * (x.shape[axis] - 1) / (2 * x.shape[axis] - 1)
        low = np.minimum(places.astype(int), max(0, x.shape[axis] - 2))
        part = (places - low).reshape(-1, *[1] * (2 - axis))
        high = np.minimum(low + 1, x.shape[axis] - 1)
        x = x.take(low, axis) * (1 - part) + x.take(high, axis) * part
    return x


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def maps_of(weights: dict[str, Array], levels: list[Array]) -> dict[str, Array]:
    """Score, distances to top, right, bottom and left in px, and angle, from the levels at strides 4 to 32."""

    def layer(x: Array, name: str) -> Array:
        x = convolved(x, weights[f"{name}.conv.weight"], weights[f"{name}.conv.bias"])
        norm = {key: weights[f"{name}.bn.{key}"][:, None, None] for key in ("weight", "bias", "running_mean")}
        deviation = np.sqrt(weights[f"{name}.bn.running_var"] + 1e-5)[:, None, None]
        return np.maximum((x - norm["running_mean"]) / deviation * norm["weight"] + norm["bias"], 0)

    x = levels[3]
    for i in range(3):
        x = np.concatenate((doubled(x), levels[2 - i]))
        x = layer(layer(x, f"neck.layers.{2 * i}"), f"neck.layers.{2 * i + 1}")
        x = x * sigmoid(convolved(x, weights[f"neck.gates.{i}.weight"], weights[f"neck.gates.{i}.bias"]))
    x = layer(x, "neck.layers.6")
    score, distances, angle = (
        sigmoid(convolved(x, weights[f"bbox_head.{name}.weight"], weights[f"bbox_head.{name}.bias"]))
        for name in ("score", "distances", "angle")
    )
    return {"scores": score, "distances": 512 * distances, "angles": (angle - 0.5) * np.pi / 2}


def test_the_maps_are_those_of_the_definition() -> None:
    model = random_model(find("tat_test"))
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    with torch.inference_mode():
        image = torch.randn(1, 3, 64, 96)
        levels, ours = [level[0].double().numpy() for level in model.backbone(image)], model(image)
    assert [level.shape[1:] for level in levels] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    weights = {key: value.double().numpy() for key, value in model.state_dict().items()}
    for name, expected in maps_of(weights, levels).items():
        np.testing.assert_allclose(ours[name][0], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
        assert expected.std() > 0
