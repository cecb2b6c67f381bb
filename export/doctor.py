"""What this machine can do, found out by doing it: detexport --doctor."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata as packages
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..deploy.backends.ort import OrtBackend, check_installation
from ..deploy.errors import DetforgeError, IncompatibleError
from ..plugins.deform_conv.op import DeformConv
from ..plugins.nms.op import nms
from .convert import INPUT, to_onnx


@dataclass(frozen=True)
class Check:
    """One thing tried: "absent" is what is not installed, "failed" what is there and does not work."""

    name: str
    state: Literal["ok", "absent", "failed"]
    detail: str


class _Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"result": self.layer(image)}


class _Deformable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = DeformConv(3, 8, 3, 1, 1, bias=False)
        nn.init.normal_(self.layer.conv_offset.weight)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"result": self.layer(image)}


class _Suppression(nn.Module):
    def forward(self, image: Tensor) -> dict[str, Tensor]:
        corners = image[:, 0, :, :2]
        boxes = torch.cat((corners, corners + 2), -1)
        keep = nms(boxes, image[:, 1, :, 0], (image[:, 2, :, 0] > 0).long(), 2, 0.5, 10)
        return {"result": keep.float()}


def examine() -> list[Check]:
    """Every check, in an order in which the first failure explains those after it."""
    return [
        _check("ONNX Runtime", _installation),
        _check("ONNX Runtime on cpu", lambda: _agreement(_Convolution(), "cpu")),
        _check("ONNX Runtime on cuda:0", lambda: _agreement(_Convolution(), "cuda:0")),
        _check("operator deform_conv", lambda: _agreement(_Deformable(), "cpu")),
        _check("operator nms", lambda: _agreement(_Suppression(), "cpu")),
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


def _agreement(model: nn.Module, device: str) -> str:
    """Export a tiny network, run it, and compare with PyTorch."""
    image = torch.rand(1, 3, 32, 32) * 8
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        proto, _ = to_onnx(model.eval(), canvas=(32, 32), batch=1)
        path.write_bytes(proto.SerializeToString())
        got = OrtBackend(str(path), device=device).run({INPUT: image.numpy()})["result"]
    with torch.inference_mode():
        expected = model(image)["result"].numpy()
    worst = float(np.abs(got - expected).max())
    if not worst < 1e-3:
        raise DetforgeError(f"differs from PyTorch by {worst:.2g}")
    return f"agrees with PyTorch to {worst:.1g}"
