"""Reads the goldens of this folder and recomputes the weights and images that belong to them.

Every random number comes from NumPy's PCG64 seeded with the CRC-32 of a text, so nothing large is stored.
"""

import json
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """Some values of one tensor of the reference: the flat positions, the values there, and the tensor's std."""

    shape: tuple[int, ...]
    std: float
    positions: NDArray[np.int64]
    values: NDArray[np.float32]

    def error(self, tensor: NDArray[Any]) -> float:
        """The largest difference, in standard deviations of the tensor; infinite for another shape."""
        if tensor.shape != self.shape:
            return float("inf")
        return float(np.abs(tensor.reshape(-1)[self.positions] - self.values).max() / self.std)


@dataclass(frozen=True)
class Case:
    """One input and what the reference makes of it.

    `image` (1, 3, h, w) float32 is normalised and padded; `image_size` is (height, width) px before the padding, and
    `offset` (top, left) where its first pixel lies.
    Detections are `boxes` (n, 4) xyxy px of that image, `scores` (n,) and `labels` (n,).
    """

    image: NDArray[np.float32]
    image_size: tuple[int, int]
    offset: tuple[int, int]
    raw: dict[str, Sample]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Golden:
    """One network: its OpenMMLab state dict and its cases by name."""

    state: dict[str, NDArray[Any]]
    cases: dict[str, Case]


def load(name: str) -> Golden:
    """The golden of one network."""
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = dict(file)
    manifest = json.loads(bytes(arrays["manifest"]))
    state = {
        key: arrays[f"weights/{key}"] if gain is None else weight(key, tuple(shape), gain)
        for key, shape, gain in manifest["state"]
    }
    return Golden(state, {tag: _case(tag, case, arrays) for tag, case in manifest["cases"].items()})


def load_ops(name: str) -> list[dict[str, Any]]:
    """The cases of an operator: each {"name", "args", "in": arrays by name, "out": arrays by name}."""
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = dict(file)
    cases = json.loads(bytes(arrays["manifest"]))
    for case in cases:
        for side in ("in", "out"):
            case[side] = {argument: arrays[key] for argument, key in case[side].items()}
    return cases


def weight(key: str, shape: tuple[int, ...], gain: float) -> NDArray[Any]:
    """The value of a state dict's entry, from its name alone."""
    kind = key.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    draw = rng(key)
    if kind == "running_var":
        value = draw.uniform(0.5, 1.5, shape)
    else:
        value = np.asarray(draw.standard_normal(shape))
        if kind == "running_mean":
            value = 0.1 * value
        elif len(shape) >= 2:
            value = value * np.sqrt(2 / max(1, prod(shape[1:])))
        elif kind in ("weight", "scale", "gamma", "g", "sigma"):
            value = 1 + 0.1 * value
        else:
            value = 0.1 * value
    return np.asarray(value.astype(np.float32) * np.float32(gain))


def picture(height: int, width: int, seed: int) -> NDArray[np.float32]:
    """A normalised image (3, h, w) of waves, blended rectangles and noise."""
    draw = rng(f"image/3x{height}x{width}/{seed}")
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    image = np.zeros((3, height, width))
    for channel in image:
        for period in (7.0, 19.0, 53.0, 131.0):
            angle, phase = draw.uniform(0, 2 * np.pi, 2)
            channel += 0.45 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + phase)
    for _ in range(24):
        top, left = int(draw.uniform(0, height * 0.9)), int(draw.uniform(0, width * 0.9))
        tall, wide = int(draw.uniform(6, height / 2)), int(draw.uniform(6, width / 2))
        colour = draw.normal(0, 1.0, 3)
        patch = image[:, top : top + tall, left : left + wide]
        patch[:] = 0.35 * patch + colour[:, None, None]
    return (image + 0.25 * draw.standard_normal(image.shape)).astype(np.float32)


def rng(text: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(text.encode())))


def positions(name: str, size: int, count: int) -> NDArray[np.int64]:
    """The flat positions at which the reference recorded `count` of a tensor's `size` values."""
    if size <= count:
        return np.arange(size)
    return np.sort(rng(f"sample/{name}").choice(size, count, replace=False))


def _case(tag: str, case: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Case:
    image = np.zeros(case["input_shape"], np.float32)
    height, width = case["image_size"]
    top, left = case.get("offset", (0, 0))
    image[0, :, top : top + height, left : left + width] = picture(height, width, case["seed"])
    raw = {
        name: Sample(
            tuple(shape),
            std,
            positions(f"{tag}/raw/{name}", prod(shape), recorded)[:: case["step"]],
            arrays[f"{tag}/raw/{name}"],
        )
        for name, (shape, std, recorded) in case["raw"].items()
    }
    found = (arrays[f"{tag}/{name}"] for name in ("boxes", "scores", "labels"))
    return Case(image, (height, width), (top, left), raw, *found)
