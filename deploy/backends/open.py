"""Opens a model file in a runtime."""

import re
from pathlib import Path
from typing import Any

from ..contract.port import Backend
from ..system.errors import IncompatibleError, UsageError
from .names import BACKENDS, ENGINES


def open_backend(
    path: str, *, backend: str = "auto", device: str | None = None, threads: int | None = None, streams: int = 1
) -> Backend:
    """Open a model file on `device`, "cpu" or "cuda:N"; by default "cuda:0" for engines and "cpu" for other files.

    An engine can run `streams` times concurrently. If `backend` runs engines and the file is ONNX, its engine must be
    in the cache. Raises UsageError for an unknown name, InputError if the file is missing, and IncompatibleError if it
    cannot run.
    """
    device = device or default_device(path, backend)
    if not re.fullmatch("cpu|cuda(:[0-9]+)?", device):
        raise UsageError(f"unknown device '{device}'; choose cpu or cuda:N")
    if path.endswith(".engine") or backend in ENGINES:
        return _open_engine(path, backend, device, streams)
    if backend == "auto":
        from .automatic import choose_backend

        backend = choose_backend(path, device).backend
    if backend == "ort":
        from .ort import OrtBackend  # each runtime is imported only when it is used

        return OrtBackend(path, device=device, threads=threads)
    if backend == "openvino":
        from .openvino import OpenVinoBackend

        return OpenVinoBackend(path, device=device, threads=threads)
    raise UsageError(f"unknown backend '{backend}'; choose auto, {', '.join(BACKENDS)}")


def default_device(path: str, backend: str) -> str:
    """The device on which a file runs by default."""
    return "cuda:0" if path.endswith(".engine") or backend in ENGINES else "cpu"


def _open_engine(path: str, backend: str, device: str, streams: int) -> Backend:
    from .tensorrt import TensorrtBackend

    if backend not in ("auto", *ENGINES):
        raise UsageError(f"{path}: an engine runs on TensorRT; leave out --backend {backend}, or give the ONNX file")
    if device == "cpu":
        raise IncompatibleError(f"{path}: TensorRT runs on a GPU, not on the CPU; use --device cuda:0")
    index = int(device.partition(":")[2] or 0)
    if not path.endswith(".engine"):
        from ..engine.cache import find_engine

        runtime: Any = backend
        path = str(find_engine(Path(path), runtime, index))
    return TensorrtBackend(path, runtime=None if backend == "auto" else backend, device=index, streams=streams)


def ready(path: Path, backend: str, device: str | None) -> Path:
    """The file to load for a command's model file: its engine if `backend` runs engines, built if it is not cached.

    Raises the errors of `engine.cache.ensure_engine`.
    """
    if backend not in ENGINES or path.suffix == ".engine" or device == "cpu":
        return path  # loading reports errors
    from ..engine.cache import ensure_engine  # only engines need it

    runtime: Any = backend
    return ensure_engine(path, runtime, int((device or "").partition(":")[2] or 0))
