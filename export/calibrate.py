"""Calibration for int8: sample the tensors of a graph on a user's images and choose a scale for each."""

import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from ..deploy.backends.ort import OrtBackend
from ..deploy.card import Card, Precision
from ..deploy.contract.port import Arrays, Port
from ..deploy.inputs.canvases import Canvases
from ..deploy.inputs.image import read_image
from ..deploy.inputs.listing import find_items
from ..deploy.inputs.network_inputs import feeds
from ..deploy.system.errors import InputError, UsageError
from .views import whole_view

_SAMPLES = 1 << 19
"""Number of values sampled from each tensor over all images; enough for a quantile of one in a hundred thousand."""
_BINS = 2048
_SHARES = np.linspace(0.1, 1.0, 91)


@dataclass(frozen=True)
class Scale:
    """Quantisation scale: value = `step` * (code - `zero`), with integer codes from `low` to `high`."""

    step: float
    zero: int
    low: int
    high: int


def calibration_images(precision: Precision, folder: str | Path | None, limit: int) -> list[str]:
    """At most `limit` images, spread evenly over a folder, for int8. Other precisions need none.

    An image that cannot be read is skipped with a warning. Raises UsageError without a folder and InputError for a
    folder without images.
    """
    if precision != "int8":
        if folder is not None:
            raise UsageError("--calib goes with --int8")
        return []
    if folder is None:
        raise UsageError("--int8 needs images of the kind that it will run on; give a folder of them with --calib DIR")
    if not 1 <= limit <= 100_000:
        raise UsageError(f"--calib-n {limit} is out of range; give 1 to 100000")
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder; give one with images to --calib")
    files = [item.path for item in find_items(str(folder)).items if not item.is_video]
    if not files:
        raise InputError(f"{folder}: no image in this folder; calibration takes images, not videos")
    return _readable([files[i * len(files) // limit] for i in range(limit)] if len(files) > limit else files)


def _readable(files: Sequence[str]) -> list[str]:
    """The files that can be decoded, before any work is based on their number; InputError where none can."""
    good: list[str] = []
    problems: list[InputError] = []
    for file in files:
        try:
            read_image(file)
        except InputError as error:
            problems.append(error)
        else:
            good.append(file)
    if not good:
        raise problems[0]
    if problems:
        warnings.warn(
            f"calibration skips {len(problems)} of {len(files)} images; the first: {problems[0]}", stacklevel=3
        )
    return good


def prepared(files: Iterable[str], card: Card, batch: int) -> Iterator[Arrays]:
    """The network's inputs for each image, repeated `batch` times.

    A network for crops gets the whole image as one crop. Raises InputError if an image cannot be read.
    """
    ports = {each.name: Port(each.name, (None,)) for each in card.inputs}
    for file in files:
        fed = feeds(card.inputs, [whole_view(read_image(file), card)], ports, Canvases())
        yield {name: np.repeat(canvas, batch, 0) for name, canvas in fed.items()}


def observe(
    proto: onnx.ModelProto, names: Sequence[str], inputs: Iterable[Arrays], count: int
) -> dict[str, NDArray[np.float32]]:
    """Run a graph on `count` inputs and return evenly spread samples (s,) of each named tensor.

    Raises InputError if a tensor is not finite, for example on images that the network was not trained for.
    """
    probed = onnx.ModelProto.FromString(proto.SerializeToString())
    probes = [_probe(probed, name, max(1, _SAMPLES // count)) for name in names]
    samples: list[list[NDArray[np.float32]]] = [[] for _ in names]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probed.onnx"
        path.write_bytes(probed.SerializeToString())
        backend = OrtBackend(str(path))
        for fed in inputs:
            outputs = backend.run(fed)
            for kept, probe, name in zip(samples, probes, names, strict=True):
                if not np.isfinite(outputs[probe]).all():
                    raise InputError(
                        f"calibration: the network's {name} is not finite on an image; check the checkpoint"
                    )
                kept.append(outputs[probe])
    return {name: np.concatenate(kept) for name, kept in zip(names, samples, strict=True)}


def _probe(proto: onnx.ModelProto, name: str, budget: int) -> str:
    """Add an output with about `budget` values of a tensor at a constant stride, and return its name.

    The graph itself samples, since the tensors of a large network fill gigabytes.
    """
    step, output = f"{name}:step", f"{name}:samples"
    constants = {
        "flat": [-1],
        "start": [0],
        "end": [np.iinfo(np.int64).max],
        "two": [2],
        "one": [1],
        "twice": [2 * budget],
    }
    made = {key: f"{name}:{key}" for key in constants}
    for key, value in constants.items():
        proto.graph.initializer.append(helper.make_tensor(made[key], TensorProto.INT64, [1], value))
    nodes = [
        helper.make_node("Cast", [name], [f"{name}:float"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", [f"{name}:float", made["flat"]], [f"{name}:row"]),
        helper.make_node("Shape", [f"{name}:row"], [f"{name}:size"]),
        # An even step may divide the row length, and would then read only some columns.
        helper.make_node("Div", [f"{name}:size", made["twice"]], [f"{name}:half"]),
        helper.make_node("Mul", [f"{name}:half", made["two"]], [f"{name}:even"]),
        helper.make_node("Add", [f"{name}:even", made["one"]], [step]),
        helper.make_node("Slice", [f"{name}:row", made["start"], made["end"], made["start"], step], [output]),
    ]
    proto.graph.node.extend(nodes)
    proto.graph.output.append(
        onnx.ValueInfoProto(name=output, type=helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    )
    return output


def best_scale(samples: NDArray[Any], low: int, high: int, symmetric: bool) -> Scale:
    """The scale with the least squared error over the samples (s,). The candidates are ranges that clip outliers.

    Zero is always representable. `symmetric` puts it at code 0; `low` must then be -`high`.
    """
    least, most = min(0.0, float(samples.min(initial=0))), max(0.0, float(samples.max(initial=0)))
    if symmetric:
        most = max(-least, most)
        least = -most
    if most - least < 1e-6:  # A tensor of zeros: clip other values rather than divide by zero.
        return Scale(1e-6, 0 if symmetric else low, low, high)
    counts, edges = np.histogram(samples, _BINS, (least, most))
    centres = (edges[:-1] + edges[1:]) / 2
    scales = [_scale(least * share, most * share, low, high) for share in _SHARES]
    errors = [float((counts * (rounded(centres, scale) - centres) ** 2).sum()) for scale in scales]
    return scales[int(np.argmin(errors))]


def _scale(least: float, most: float, low: int, high: int) -> Scale:
    step = (most - least) / (high - low)
    return Scale(step, int(np.clip(round(low - least / step), low, high)), low, high)


def rounded(values: NDArray[Any], scale: Scale) -> NDArray[Any]:
    """Values rounded to the nearest representable ones."""
    codes = np.clip(np.rint(values / scale.step) + scale.zero, scale.low, scale.high)
    return (codes - scale.zero) * scale.step
