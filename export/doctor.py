"""What this machine can do, found out by doing it: detexport --doctor."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata as packages
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..deploy.backends.ort import OrtBackend, check_installation, kernel_library
from ..deploy.errors import DetforgeError, IncompatibleError
from ..plugins.border_align.op import border_align
from ..plugins.corner_pool.op import bottom_pool, left_pool, right_pool, top_pool
from ..plugins.deform_conv.op import DeformConv
from ..plugins.dfl.op import dfl
from ..plugins.nms.op import nms
from ..plugins.operators import FUNCTIONS
from .convert import INPUT, to_onnx


@dataclass(frozen=True)
class Check:
    """One thing tried: "absent" is what is not installed, "failed" what is there and does not work."""

    name: str
    state: Literal["ok", "absent", "failed"]
    detail: str


class _Layer(nn.Module):
    """One layer or function as a network."""

    def __init__(self, layer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"result": self.layer(image)}


def _deformable() -> nn.Module:
    layer = DeformConv(3, 8, 3, 1, 1)
    nn.init.normal_(layer.conv_offset.weight)
    return layer


def _corners(image: Tensor) -> Tensor:
    return top_pool(image) + bottom_pool(image) + left_pool(image) + right_pool(image)


def _borders(image: Tensor) -> Tensor:
    boxes = image[:, :1, :, :4].squeeze(1) * 4
    return border_align(image.repeat(1, 4, 1, 1), boxes, 10)


def _distances(image: Tensor) -> Tensor:
    return dfl(image.flatten(2))


def _suppression(image: Tensor) -> Tensor:
    corners = image[:, 0, :, :2]
    boxes = torch.cat((corners, corners + 2), -1)
    return nms(boxes, image[:, 1, :, 0], (image[:, 2, :, 0] > 0).long(), 2, 0.5, 10).float()


def examine() -> list[Check]:
    """Every check, in an order in which the first failure explains those after it."""
    operators: dict[str, Callable[[Tensor], Tensor]] = {
        "border_align": _borders,
        "corner_pool": _corners,
        "deform_conv": _deformable(),
        "dfl": _distances,
        "nms": _suppression,
    }
    plain = nn.Conv2d(3, 8, 3, padding=1)
    return [
        _check("ONNX Runtime", _installation),
        _check("ONNX Runtime on cpu", lambda: _agreement(plain, "cpu")),
        _check("ONNX Runtime on cuda:0", lambda: _agreement(plain, "cuda:0")),
        _check("kernels on cpu", lambda: _kernels("cpu")),
        _check("kernels on cuda:0", lambda: _kernels("cuda:0")),
        *(_check(f"operator {name}", partial(_agreement, layer, "cpu")) for name, layer in operators.items()),
    ]


def _check(name: str, attempt: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", attempt())
    except IncompatibleError as error:
        absent = "not installed" in str(error) or "has no CUDA" in str(error)
        return Check(name, "absent" if absent else "failed", str(error))
    except DetforgeError as error:
        return Check(name, "failed", str(error))


def _installation() -> str:
    check_installation()
    names = {d.metadata["Name"] for d in packages.distributions()} & {"onnxruntime", "onnxruntime-gpu"}
    return ", ".join(f"{name} {packages.version(name)}" for name in names)


def _kernels(device: str) -> str:
    path = kernel_library(device)
    if path is None:
        raise IncompatibleError("not installed: detforge was built without them; operators run as their functions")
    _agreement(_corners, device)
    return f"{path.name}: {', '.join(FUNCTIONS)}"


def _agreement(layer: Callable[[Tensor], Tensor], device: str) -> str:
    """Export a tiny network, run it, and compare with PyTorch."""
    model = _Layer(layer).eval()
    image = torch.rand(1, 3, 32, 32) * 8
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        proto, _ = to_onnx(model, canvas=(32, 32), batch=1)
        path.write_bytes(proto.SerializeToString())
        got = OrtBackend(str(path), device=device).run({INPUT: image.numpy()})["result"]
    with torch.inference_mode():
        expected = model(image)["result"].numpy()
    worst = float(np.abs(got - expected).max())
    if not worst < 1e-3:
        raise DetforgeError(f"differs from PyTorch by {worst:.2g}")
    return f"agrees with PyTorch to {worst:.1g}"
