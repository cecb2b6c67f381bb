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

    def difference(self, tensor: NDArray[Any]) -> tuple[float, str]:
        """The largest difference in standard deviations of the tensor, and where it is; infinite for another shape."""
        if tensor.shape != self.shape:
            return float("inf"), f"shape {tensor.shape}, the reference's {self.shape}"
        ours = tensor.reshape(-1)[self.positions]
        differences = np.nan_to_num(np.abs(ours - self.values), nan=np.inf)
        i = int(differences.argmax())
        place = tuple(map(int, np.unravel_index(self.positions[i], self.shape)))
        return float(
            differences[i] / (self.std or 1)
        ), f"{ours[i]:.7g} at {place}, the reference's {self.values[i]:.7g}"

    def without(self, rows: NDArray[Any]) -> "Sample":
        """The same without the values of some rows of the tensor."""
        kept = ~np.isin(self.positions // prod(self.shape[1:]), rows)
        return Sample(self.shape, self.std, self.positions[kept], self.values[kept])

    def log(self) -> "Sample":
        """The same of the tensor's logarithms, in standard deviations of these."""
        values = np.log(self.values)
        return Sample(self.shape, float(values.std()), self.positions, values)


@dataclass(frozen=True)
class Case:
    """One input and what the reference makes of it.

    `image` (1, 3, h, w) float32 is normalised and padded; `image_size` is (height, width) px before the padding, and
    `offset` (top, left) where its first pixel lies.
    Detections are `boxes` (n, 4) xyxy px of that image, `scores` (n,), `labels` (n,) and maybe `keypoints` (n, k, 2) xy
    px. With `flip` they are those of the image and its mirror image together. A two-stage network has `proposals`
    (k, 4) xyxy px. One that finds masks has `masks` (n, s, s) over the boxes, one that finds keypoints in maps has the
    `keypoint_scores` (n, k) of these.
    """

    image: NDArray[np.float32]
    image_size: tuple[int, int]
    offset: tuple[int, int]
    raw: dict[str, Sample]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    keypoints: NDArray[np.float32] | None = None
    flip: bool = False
    proposals: NDArray[np.float32] | None = None
    masks: NDArray[np.float32] | None = None
    keypoint_scores: NDArray[np.float32] | None = None
    curves: NDArray[np.float32] | None = None
    symbols: NDArray[np.int16] | None = None


@dataclass(frozen=True)
class Golden:
    """One network: its OpenMMLab state dict and its cases by name."""

    state: dict[str, NDArray[Any]]
    cases: dict[str, Case]


@dataclass(frozen=True)
class People:
    """The people that a reference sees: `keypoints` (n, k, 2) xy px of the image, `scores` (n, k).

    With `flip` the mirrored image was averaged in. Networks that find boxes too have `boxes` (n, 4) xyxy px and
    `totals` (n,), the scores of the people.
    """

    flip: bool
    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    boxes: NDArray[np.float32] | None = None
    totals: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class PoseGolden:
    """One pose network: its state dict, one normalised `image` (1, 3, h, w), and what the reference makes of it.

    `configuration` is mmpose's, its `model` and its `pipeline` for test images, where it was kept.
    """

    state: dict[str, NDArray[Any]]
    image: NDArray[np.float32]
    raw: dict[str, Sample]
    cases: dict[str, People]
    configuration: dict[str, Any]


def names() -> list[str]:
    """Every golden of this folder."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def read_manifest(name: str) -> Any:
    """What a golden says of itself: a list of cases for an operator, a dict with `cases` by name for a network."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return json.loads(bytes(file["manifest"]))


def load(name: str) -> Golden:
    """The golden of one detection network."""
    manifest, arrays = _open(name)
    return Golden(_state(manifest, arrays), {tag: _case(tag, case, arrays) for tag, case in manifest["cases"].items()})


def load_pose(name: str) -> PoseGolden:
    """The golden of one pose network."""
    manifest, arrays = _open(name)
    raw: dict[str, Sample] = {}
    cases: dict[str, People] = {}
    for tag, case in manifest["cases"].items():
        raw |= _raw(tag, case, arrays)
        found = (arrays.get(f"{tag}/{name}") for name in ("keypoints", "scores", "boxes", "totals"))
        cases[tag] = People(case["flip"], *found)
    configuration = {key: manifest[key] for key in ("model", "pipeline") if key in manifest}
    return PoseGolden(_state(manifest, arrays), picture(*manifest["image_size"], 0)[None], raw, cases, configuration)


def load_ops(name: str) -> list[dict[str, Any]]:
    """The cases of an operator: each {"name", "args", "in": arrays by name, "out": arrays by name}."""
    cases, arrays = _open(name)
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


def heatmaps(count: int, height: int, width: int, sigma: float, seed: int) -> NDArray[np.float32]:
    """Noisy maps (count, h, w), each with a Gaussian anywhere, two weaker ones, and nothing in the last."""
    draw = rng(f"heatmap/{count}x{height}x{width}/{sigma}/{seed}")
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    maps = 0.02 * draw.standard_normal((count, height, width))
    for i, one in enumerate(maps):
        for weakest, strongest in ((0.5, 1.0), (0.1, 0.4), (0.1, 0.4)):
            left, top = draw.uniform(-0.5, width - 0.5), draw.uniform(-0.5, height - 0.5)
            peak = draw.uniform(weakest, strongest)
            if i % 7 == 3 and strongest == 1.0:
                left = draw.uniform(0, 1.5)
            bump = peak * np.exp(-((x - left) ** 2 + (y - top) ** 2) / (2 * sigma**2))
            one[:] = one + bump if strongest == 1.0 else np.maximum(one, bump)
    maps[-1] = -np.abs(maps[-1])
    return maps.astype(np.float32)


def people_maps(views: int, height: int, width: int, seed: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Heatmaps (17, h, w) and tags (views, 17, h, w) of three people, each without one of the keypoints."""
    draw = rng(f"ae/{views}x{height}x{width}/{seed}")
    heatmaps = 0.01 * draw.standard_normal((17, height, width))
    tags = 0.1 * draw.standard_normal((views, 17, height, width))
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    for person, (tag, missing) in enumerate(((1.0, 5), (3.2, 9), (6.0, 16))):
        middle, centre = width * (0.2 + 0.3 * person), height * 0.5 + 4 * (person - 1)
        for i in range(17):
            if i == missing:
                continue
            left, top = middle + draw.uniform(-15, 15), centre + draw.uniform(-0.36, 0.36) * height
            bump = (0.9 - 0.1 * person) * np.exp(-((x - left) ** 2 + (y - top) ** 2) / 8)
            heatmaps[i] = np.maximum(heatmaps[i], bump)
            near = (np.abs(x - left) < 4) & (np.abs(y - top) < 4)
            for view in tags:
                view[i][near] = tag + 0.05 * draw.standard_normal(int(near.sum()))
    return heatmaps.astype(np.float32), tags.astype(np.float32)


def rng(text: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(text.encode())))


def positions(name: str, size: int, count: int) -> NDArray[np.int64]:
    """The flat positions at which the reference recorded `count` of a tensor's `size` values."""
    if size <= count:
        return np.arange(size)
    return np.sort(rng(f"sample/{name}").choice(size, count, replace=False))


def _open(name: str) -> tuple[Any, dict[str, NDArray[Any]]]:
    """What a file says of its arrays, and these."""
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = dict(file)
    return json.loads(bytes(arrays["manifest"])), arrays


def _state(manifest: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {
        key: arrays[f"weights/{key}"] if gain is None else weight(key, tuple(shape), gain)
        for key, shape, gain in manifest["state"]
    }


def _case(tag: str, case: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Case:
    image = np.zeros(case["input_shape"], np.float32)
    height, width = case["image_size"]
    top, left = case.get("offset", (0, 0))
    image[0, :, top : top + height, left : left + width] = picture(height, width, case["seed"])
    found = (arrays.get(f"{tag}/{name}") for name in ("boxes", "scores", "labels", "keypoints"))
    others = (arrays.get(f"{tag}/{name}") for name in ("proposals", "masks", "keypoint_scores", "curves", "symbols"))
    raw = _raw(tag, case, arrays)
    return Case(image, (height, width), (top, left), raw, *found, case.get("flip", False), *others)


def _raw(tag: str, case: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, Sample]:
    return {
        name: Sample(
            tuple(shape),
            std,
            positions(f"{tag}/raw/{name}", prod(shape), recorded)[:: case["step"]],
            arrays[f"{tag}/raw/{name}"],
        )
        for name, (shape, std, recorded) in case["raw"].items()
    }
