"""detexport --doctor: test what this machine can run by running it."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata as packages
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..deploy.backends.names import ENGINES
from ..deploy.backends.open import open_backend
from ..deploy.backends.ort import OrtBackend
from ..deploy.card import Card, Provenance
from ..deploy.forms import Peaks
from ..deploy.inputs.image_batch import input_kernel
from ..deploy.inputs.network_inputs import ImageInput
from ..deploy.inputs.resize import Pad, Resize
from ..deploy.system.errors import AbsentError, DetforgeError, RefusedError
from ..plugins.bezier_align.op import bezier_align
from ..plugins.border_align.op import border_align
from ..plugins.core.libraries import REINSTALL, WITH_NVCC, library
from ..plugins.core.node import DOMAIN
from ..plugins.corner_pool.op import bottom_pool, left_pool, right_pool, top_pool
from ..plugins.deform_conv.op import DeformConv
from ..plugins.deform_roi_pool.op import deform_roi_pool
from ..plugins.dfl.op import dfl
from ..plugins.nms.op import nms
from ..plugins.prroi_pool.op import prroi_pool
from ..plugins.roi_align.op import roi_align
from .convert import attach, to_onnx
from .doctor_images import prepare_on_gpu
from .engine import EngineOptions, build_engine


@dataclass(frozen=True)
class Check:
    """One check. "absent" is not installed, "failed" is installed and does not work. `mend` is the remedy."""

    name: str
    state: Literal["ok", "absent", "failed"]
    detail: str
    mend: str = ""


_PACKAGES = {
    "onnxruntime": "cpu",
    "onnxruntime-gpu": "gpu",
    "openvino": "openvino",
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt-rtx",
    "cuda-bindings": "tensorrt",
}
"""Packages that run networks, and the extra that installs each."""

_LIBRARIES = {
    "detforge_ort": ("operators run as standard ONNX, slower", REINSTALL),
    "detforge_ort_cuda": ("operators run as standard ONNX, slower", WITH_NVCC),
    "detforge_cuda": ("images are prepared on the CPU", WITH_NVCC),
    "detforge_trt": ("operators run as standard ONNX, slower", WITH_NVCC),
}
"""Our compiled libraries: what happens without them, and how to build them."""

_RUNTIMES = [
    ("ort", "cpu"),
    ("ort", "cuda:0"),
    ("openvino", "cpu"),
    ("tensorrt", "cuda:0"),
    ("tensorrt-rtx", "build"),  # builds only, which needs no GPU
    ("tensorrt-rtx", "cuda:0"),
]
_SIDE = 32
_TOLERANCE = {"fp32": 1e-4, "fp16": 5e-2}  # relative to the largest value; fp16 rounds positions too


@dataclass(frozen=True)
class _Network:
    """A tiny exported network, its input and PyTorch's output."""

    name: str
    path: Path
    card: Card
    image: NDArray[np.float32]
    expected: NDArray[np.float32]
    operators: frozenset[tuple[str, str]]  # our nodes: name, operator


def examine() -> list[Check]:
    """Run every check, ordered so that the first failure explains later ones."""
    checks = [_package(name, extra) for name, extra in _PACKAGES.items()]
    checks += [_library(name, *without) for name, without in _LIBRARIES.items()]
    with tempfile.TemporaryDirectory() as folder:
        networks: list[_Network] = []
        for name, make, precisions in _LAYERS:
            for precision in precisions:
                exported = partial(_network, Path(folder), name, make(), precision)
                check = _check(f"export: {name} {precision}", lambda do=exported: networks.append(do()) or "done")
                checks += [] if check.state == "ok" else [check]
        for backend, device in _RUNTIMES:
            for network in networks:
                check = _check(f"{backend} {device}: {network.name}", partial(_agreement, network, backend, device))
                if network is networks[0] and check.state != "ok":
                    checks.append(replace(check, name=f"{backend} {device}"))  # Nothing else works there.
                    break
                checks.append(check)
    if kernel := input_kernel("float32"):
        checks.append(_check("images on cuda:0", partial(prepare_on_gpu, kernel)))
    return checks


def _package(name: str, extra: str) -> Check:
    try:
        return Check(f"package {name}", "ok", packages.version(name))
    except packages.PackageNotFoundError:
        return Check(f"package {name}", "absent", "not installed", f"pip install 'detforge[{extra}]'")


def _library(name: str, without: str, mend: str) -> Check:
    path = library(name)
    if path is None:
        return Check(f"library {name}", "absent", f"not built: {without}", mend)
    return Check(f"library {name}", "ok", str(path))


def _check(name: str, attempt: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", attempt())
    except RefusedError as error:  # has no remedy
        return Check(name, "absent", _parts(error)[0])
    except AbsentError as error:
        return Check(name, "absent", *_parts(error))
    except DetforgeError as error:
        return Check(name, "failed", *_parts(error))


def _parts(error: DetforgeError) -> tuple[str, str]:
    """The problem and its remedy."""
    said, _, mend = " ".join(str(error).split()).rpartition("; ")
    return said, mend


class _Layer(nn.Module):
    """One layer or function as a network that computes in `dtype`."""

    def __init__(self, layer: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
        super().__init__()
        self.layer = layer.to(dtype) if isinstance(layer, nn.Module) else layer
        self.dtype = dtype

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"result": self.layer(image.to(self.dtype)).float()}


def _network(folder: Path, name: str, layer: Callable[[Tensor], Tensor], precision: str) -> _Network:
    network = _Layer(layer, torch.float32 if precision == "fp32" else torch.float16).eval()
    card = _card(f"{name} {precision}", "fp32" if precision == "fp32" else "fp16")
    proto, _ = to_onnx(network, card.inputs, canvas=(_SIDE, _SIDE), batch=1)
    attach(proto, card)
    path = folder / f"{name}-{precision}.onnx"
    path.write_bytes(proto.SerializeToString())
    random = torch.Generator().manual_seed(0)  # Avoids equal scores, whose order in OpenVINO is undefined.
    image = (torch.rand(1, 3, _SIDE, _SIDE, generator=random) * 512).round() / 64  # exact in every precision
    with torch.inference_mode():
        expected = network(image)["result"].numpy()
    operators = frozenset((node.name, node.op_type) for node in proto.graph.node if node.domain == DOMAIN)
    return _Network(card.model, path, card, image.numpy(), expected, operators)


def _card(name: str, precision: Literal["fp32", "fp16"]) -> Card:
    place = Resize((_SIDE, _SIDE), pad=Pad((_SIDE, _SIDE)))
    inputs = (ImageInput(place, "rgb", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),)
    return Card(name, inputs, Peaks(), ("x",), Provenance("none", None, precision))


def _agreement(network: _Network, backend: str, device: str) -> str:
    """Run a network and compare it with PyTorch."""
    try:
        return _run(network, backend, device)
    except DetforgeError as error:
        # Drop the name of the temporary file.
        raise type(error)(str(error).removeprefix(f"{network.path}: ").removeprefix(f"{_engine(network)}: ")) from error


def _engine(network: _Network) -> Path:
    return network.path.with_suffix(".engine")


def _run(network: _Network, backend: str, device: str) -> str:
    """Run a network, after building its engine if the backend needs one, and compare it with PyTorch."""
    path = network.path
    built = ""
    if backend in ENGINES:
        options = EngineOptions("tensorrt" if backend == "tensorrt" else "tensorrt-rtx")
        if device != "build":
            options.check()
        description = build_engine(path, network.card, options)
        plugins = description.plugins.operators if description.plugins is not None else ()
        built = f", as plugin {', '.join(plugin.name for plugin in plugins)}" if plugins else ""
        path = _engine(network)
        if device == "build":
            return f"builds to {path.stat().st_size / 1e6:.1f} MB{built}, not run"
    session = open_backend(str(path), backend=backend, device=device)
    got = session.run({network.card.input.name: network.image})["result"]
    worst = float(np.abs(got - network.expected).max() / np.abs(network.expected).max())
    if not worst < _TOLERANCE[network.card.provenance.precision]:
        raise DetforgeError(
            f"differs from PyTorch by {worst:.2g} of the largest value; report it with detexport --doctor --json"
        )
    if backend == "ort" and (kernels := _kernels(network, device)):
        built = f", as kernel {', '.join(kernels)}"
    return f"agrees with PyTorch to {worst:.1g}{built}"


def _kernels(network: _Network, device: str) -> list[str]:
    """Our operators that ONNX Runtime runs as kernels. An inlined function has nodes of other names."""
    session = OrtBackend(str(network.path), device=device, profile=True)
    for _ in range(2):  # The first run has no node times.
        session.run({network.card.input.name: network.image})
    return sorted({node.op for node in session.node_times() if (node.name, node.op) in network.operators})


def _deformable() -> nn.Module:
    layer = DeformConv(3, 8, 3, 1, 1)
    nn.init.normal_(layer.conv_offset.weight)
    return layer


def _corners(image: Tensor) -> Tensor:
    return top_pool(image) + bottom_pool(image) + left_pool(image) + right_pool(image)


def _borders(image: Tensor) -> Tensor:
    boxes = image[:, :1, :, :4].squeeze(1).float() * 4
    return border_align(image.repeat(1, 4, 1, 1), boxes, 10)


def _distances(image: Tensor) -> Tensor:
    return dfl(image.flatten(2))


def _suppression(image: Tensor) -> Tensor:
    corners = image[:, 0, :, :2]
    boxes = torch.cat((corners, corners + 2), -1)
    return nms(boxes, image[:, 1, :, 0], (image[:, 2, :, 0] > 0).float(), boxes.new_full((1,), 0.5), 2, 10)


def _regions(image: Tensor) -> Tensor:
    corners = image[:, 0, :, :2].float()
    levels, boxes = [image, image[:, :, ::2, ::2]], torch.cat((corners, corners + 2), -1)
    shifts = corners[:, :, :, None, None].expand(-1, -1, -1, 2, 2) / 10
    aligned = roi_align(levels, boxes, (2, 2), 1, finest_scale=1)
    deformed = deform_roi_pool(levels, boxes, shifts, (2, 2), 1, 2, finest_scale=1)
    between = bezier_align(levels, torch.cat([corners + side for side in range(8)], -1), (2, 2), 1, finest_scale=1)
    return aligned + prroi_pool(levels, boxes, (2, 2), 1, finest_scale=1) + deformed + between


# First a convolution, which every backend can run, then our operators in the precisions of exported files.
_LAYERS: list[tuple[str, Callable[[], Callable[[Tensor], Tensor]], tuple[str, ...]]] = [
    ("convolution", lambda: nn.Conv2d(3, 8, 3, padding=1), ("fp32", "fp16")),
    ("border_align", lambda: _borders, ("fp32", "fp16")),
    ("corner_pool", lambda: _corners, ("fp32", "fp16")),
    ("deform_conv", _deformable, ("fp32", "fp16")),
    ("dfl", lambda: _distances, ("fp32",)),
    ("nms", lambda: _suppression, ("fp32",)),
    ("regions", lambda: _regions, ("fp32", "fp16")),
]
