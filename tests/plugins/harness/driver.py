"""Builds the harness that drives libdetforge_trt without TensorRT, and opens a library of plugins in it."""

import ctypes
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Headers:
    """What declares TensorRT's interface to the harness."""

    name: str
    folders: tuple[Path, ...]
    loggers: str = "nvinfer1"
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.folders[0].name} {self.loggers}"


OURS = (Headers("core/trt_api.h", (SOURCES,)), Headers("core/trt_api.h", (SOURCES,), "nvinfer1::v_1_0"))
"""Our own declarations, with the loggers of TensorRT 10 and of 11."""


def tensorrt(root: Path) -> Headers:
    """TensorRT's headers in a folder."""
    return Headers("NvInferRuntime.h", (root / "include", root))


def build(folder: Path, headers: Headers) -> Path:
    """Compile the harness into a folder."""
    names = [f'-DHEADER="{headers.name}"', f"-DLOGGERS={headers.loggers}"]
    folders = [part for path in headers.folders for part in ("-isystem", path)]
    return _compile(folder / "libharness.so", _HERE / "harness.cpp", *names, *folders, *headers.flags, "-ldl")


def build_plugins(folder: Path, kernels: Path) -> Path:
    """Compile plugins, into the folder of ops.h, that call the kernels of another library."""
    sources = [SOURCES / "core" / "trt.cpp", SOURCES / "core" / "trt_logger.cpp"]
    return _compile(folder / "libdetforge_trt.so", *sources, "-I", folder, kernels, f"-Wl,-rpath={kernels.parent}")


def _compile(target: Path, *rest: str | Path) -> Path:
    flags = "-std=c++17 -shared -fPIC -Wall -Wextra -Werror".split()
    paths = ["-I", SOURCES, "-I", _HERE.parent / "emulator"]
    subprocess.run(["g++", *flags, *paths, *rest, "-o", target], check=True)
    return target


def _check(problem: bytes | None) -> None:
    if problem is not None:
        raise ValueError(problem.decode())
