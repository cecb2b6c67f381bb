"""The C functions of a compiled library (abi.h), which take addresses of NumPy arrays or of tensors on a GPU."""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

DTYPES = {"float32": 0, "float16": 1, "bfloat16": 2}


@dataclass(frozen=True)
class Buffer:
    """A contiguous tensor: its address and shape."""

    address: int
    shape: tuple[int, ...]


class _Tensor(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("dims", ctypes.c_int64 * 4), ("rank", ctypes.c_int32))

    @classmethod
    def of(cls, buffer: Buffer) -> "_Tensor":
        return cls(buffer.address, (ctypes.c_int64 * 4)(*buffer.shape), len(buffer.shape))


class _Picture(ctypes.Structure):
    _fields_ = (
        ("pixels", ctypes.c_void_p),
        *((name, ctypes.c_int64 * 2) for name in ("size", "resized", "canvas", "offset")),
        *((name, ctypes.c_float * 3) for name in ("mean", "std", "fill")),
        ("swap", ctypes.c_int32),
    )


class Library:
    """libdetforge_cpu or libdetforge_cuda. Every method raises ValueError with the library's message."""

    def __init__(self, path: Path) -> None:
        self._library: Any = ctypes.CDLL(str(path))
        for name in ("detforge_op", "detforge_run_cpu", "detforge_run_cuda", "detforge_preprocess_cuda"):
            if hasattr(self._library, name):
                getattr(self._library, name).restype = ctypes.c_char_p

    def ops(self) -> list[str]:
        """The names of the library's operators."""
        names: list[str] = []
        while name := self._library.detforge_op(len(names)):
            names.append(name.decode())
        return names

    def shape(self, call: "Call") -> tuple[int, ...]:
        """The shape of the result."""
        result = _Tensor()
        _check(self._library.detforge_run_cpu(*replace(call, dtype="float32").arguments(result), 1))
        return tuple(result.dims[: result.rank])

    def run_cpu(self, call: "Call", output: Buffer, threads: int = 1) -> None:
        """Run on the CPU, in float32 or float16."""
        _check(self._library.detforge_run_cpu(*call.arguments(_Tensor.of(output)), threads))

    def workspace(self, call: "Call") -> int:
        """The bytes of workspace that `run_cuda` needs."""
        size = ctypes.c_size_t(0)
        _check(self._library.detforge_run_cuda(*call.arguments(_Tensor()), None, ctypes.byref(size), None))
        return size.value

    def run_cuda(self, call: "Call", output: Buffer, workspace: Buffer, stream: int = 0) -> None:
        """Run on a stream of the current GPU. `workspace` is a buffer of `workspace(call)` bytes."""
        size = ctypes.c_size_t(workspace.shape[0])
        arguments, address = call.arguments(_Tensor.of(output)), ctypes.c_void_p(workspace.address)
        _check(self._library.detforge_run_cuda(*arguments, address, ctypes.byref(size), ctypes.c_void_p(stream)))

    def preprocess_cuda(self, picture: "Picture", dtype: str, canvas: Buffer, stream: int = 0) -> None:
        """Make a network's input (3, h, w) on a stream of the current GPU."""
        given, address = picture.argument(canvas), ctypes.c_void_p(canvas.address)
        call = self._library.detforge_preprocess_cuda
        _check(call(ctypes.byref(given), DTYPES[dtype], address, ctypes.c_void_p(stream)))


@dataclass(frozen=True)
class Picture:
    """Pixels (h, w, 3) uint8 on a GPU and their placement on a canvas: sizes (h, w), `offset` (top, left), px.

    mean, std and fill have one value per plane; `swap` reverses the channels.
    """

    pixels: Buffer
    resized: tuple[int, int]
    offset: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fill: tuple[float, float, float]
    swap: bool

    def argument(self, canvas: Buffer) -> "_Picture":
        """The argument of the C function."""
        sizes = (self.pixels.shape[:2], self.resized, canvas.shape[1:], self.offset)
        planes = (self.mean, self.std, self.fill)
        longs, floats = ctypes.c_int64 * 2, ctypes.c_float * 3
        return _Picture(
            self.pixels.address, *(longs(*size) for size in sizes), *(floats(*p) for p in planes), self.swap
        )


@dataclass(frozen=True)
class Call:
    """One run of an operator: its node's name, a dtype of DTYPES, and inputs and attributes in the node's order."""

    op: str
    dtype: str
    inputs: Sequence[Buffer]
    attributes: Mapping[str, int | tuple[int, ...]]

    def arguments(self, output: _Tensor) -> list[Any]:
        """The first arguments of both C functions."""
        values = self.attributes.values()
        numbers = [number for value in values for number in (value if isinstance(value, tuple) else (value,))]
        return [
            self.op.encode(),
            DTYPES[self.dtype],
            (_Tensor * len(self.inputs))(*map(_Tensor.of, self.inputs)),
            len(self.inputs),
            ctypes.byref(output),
            (ctypes.c_int64 * max(1, len(numbers)))(*numbers),
            len(numbers),
        ]


def _check(problem: bytes | None) -> None:
    if problem is not None:
        raise ValueError(problem.decode())
