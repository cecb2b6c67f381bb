"""Builds the harness that drives libdetforge_trt without TensorRT, and opens a library of plugins in it."""

import ctypes
import subprocess
from collections.abc import Iterable
from pathlib import Path

from operator_sources import SOURCES

from detforge.plugins.core.abi import Library

_HERE = Path(__file__).parent


class Field(ctypes.Structure):
    """TensorRT's PluginField: a node's attribute."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("type", ctypes.c_int32),
        ("length", ctypes.c_int32),
    )


class Plugins(Library):
    """The plugins of a library through the C interface of the operators; `run_cuda` runs a plugin's enqueue.

    A harness drives the library that was opened last.
    """

    def __init__(self, harness: Path, plugins: Path) -> None:
        super().__init__(harness)
        for name in ("harness_open", "harness_make"):
            getattr(self._library, name).restype = ctypes.c_char_p
        _check(self._library.harness_open(str(plugins).encode()))

    def make(self, op: str, fields: Iterable[Field]) -> None:
        """Make a plugin from these fields; ValueError with what it logged when it refuses them."""
        given = list(fields)
        _check(self._library.harness_make(op.encode(), (Field * len(given))(*given), len(given)))


def build(folder: Path, tensorrt: Path) -> Path:
    """Compile the harness into a folder, with TensorRT's headers and nvcc, which knows where CUDA's are."""
    return _compile(folder / "libharness.so", tensorrt, _HERE / "harness.cpp", "-cudart=none", "-ldl")


def build_plugins(folder: Path, tensorrt: Path, kernels: Path) -> Path:
    """Compile plugins, into the folder of ops.h, that call the kernels of another library."""
    rest = ("-I", folder, kernels, "-Xlinker", f"-rpath={kernels.parent}")
    return _compile(folder / "libdetforge_trt.so", tensorrt, SOURCES / "core" / "trt.cpp", *rest)


def _compile(target: Path, tensorrt: Path, *rest: str | Path) -> Path:
    flags = ["-std=c++17", "-shared", "-Xcompiler=-fPIC,-Wall,-Wextra,-Werror"]
    headers = ["-I", SOURCES, "-isystem", tensorrt / "include", "-isystem", tensorrt]
    subprocess.run(["nvcc", *flags, *headers, *rest, "-o", target], check=True)
    return target


def _check(problem: bytes | None) -> None:
    if problem is not None:
        raise ValueError(problem.decode())
