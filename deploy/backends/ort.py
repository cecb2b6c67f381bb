"""ONNX Runtime, on the CPU and on CUDA."""

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...plugins.core.libraries import library
from ..contract.port import Arrays, Port
from ..system.errors import AbsentError, IncompatibleError, InputError
from ..system.processors import available_processors
from .automatic import precision_of
from .node_times import NodeTime, mean_times

_HARMFUL = (
    # Moves codes in front of a max pool, which takes several times as long in integers.
    "QDQPropagationTransformer",
    # Gives the biases of files for TensorRT codes whose steps, products of two, half precision cannot hold.
    "WeightBiasQuantization",
)
"""Optimisations of ONNX Runtime that files in eight bits go without."""


class OrtBackend:
    """An ONNX file in an ONNX Runtime session.

    `device` is "cpu" or "cuda:N"; `threads` defaults to the processors that this process may use. Our operators'
    kernels for the device run where their library was built; without it, or with `kernels` False, ONNX Runtime runs
    the functions that the file carries, with equal results. With `profile` every run is timed node by node.
    """

    def __init__(
        self,
        path: str,
        *,
        device: str = "cpu",
        threads: int | None = None,
        kernels: bool = True,
        profile: bool = False,
    ) -> None:
        check_installation()
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs] it has types of its own, in part

        ort: Any = onnxruntime
        if not Path(path).is_file():
            raise InputError(f"{path}: no such model file; export one with detexport")
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised, once, as our own error
        options.intra_op_num_threads = threads or available_processors()
        options.inter_op_num_threads = 1
        options.add_session_config_entry("optimization.disable_specified_optimizers", ";".join(_HARMFUL))
        options.enable_profiling = profile
        if profile:
            self._folder = tempfile.TemporaryDirectory()
            options.profile_file_prefix = str(Path(self._folder.name) / "nodes")
        providers = _providers(device, ort.get_available_providers())
        if kernels:
            _register_kernels(options, device)
        try:
            self._session = ort.InferenceSession(path, options, providers=providers)
        except ort.capi.onnxruntime_pybind11_state.NotImplemented as error:
            problem = f"ONNX Runtime {ort.__version__} lacks an operator of this model"
            bf16 = precision_of(path) == "bf16"
            remedy = "use --backend openvino, which runs bf16" if bf16 else "install a newer one"
            raise AbsentError(f"{path}: {problem}; {_first_line(error)}; {remedy}") from error
        except Exception as error:  # ONNX Runtime's own classes share no base but this one
            raise IncompatibleError(
                f"{path}: not a model that ONNX Runtime can open; {_first_line(error)}; export it anew with detexport"
            ) from error
        if device != "cpu" and self._session.get_providers()[0] != "CUDAExecutionProvider":
            raise IncompatibleError(
                f"device {device}: CUDA did not start; its libraries are missing or too old; "
                "see detexport --doctor or use --device cpu"
            )
        self.inputs = tuple(Port(i.name, _shape(i.shape), _dtype(i.type)) for i in self._session.get_inputs())
        self.outputs = tuple(Port(o.name, _shape(o.shape), _dtype(o.type)) for o in self._session.get_outputs())
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self._names = [port.name for port in self.outputs]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        values = self._session.run(self._names, dict(feeds))
        return {name: np.asarray(value) for name, value in zip(self._names, values, strict=True)}

    def node_times(self) -> list[NodeTime]:
        """What each node took in a run, the slowest first; the first run does not count. Ends what `profile` began."""
        events: Any = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        self._folder.cleanup()
        times: dict[tuple[str, str], list[float]] = {}
        for event in events:
            name, _, kind = event["name"].rpartition("_kernel_")
            if kind == "time":
                times.setdefault((name, event["args"]["op_name"]), []).append(event["dur"] / 1e3)
        return mean_times(times)


def check_installation() -> None:
    """Refuse to run without ONNX Runtime, or with both distributions, which overwrite each other's files."""
    # importlib.metadata would take a sixth of the time in which a model is loaded.
    records = [record for folder in sys.path for record in Path(folder).glob("onnxruntime*.dist-info")]
    installed = {record.name.split("-")[0] for record in records} & {"onnxruntime", "onnxruntime_gpu"}
    if not installed:
        raise AbsentError("ONNX Runtime is not installed; pip install 'detforge[cpu]' or 'detforge[gpu]'")
    if len(installed) > 1:
        raise IncompatibleError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; "
            "pip uninstall both, then install one of detforge[cpu] and detforge[gpu]"
        )


def _register_kernels(options: Any, device: str) -> None:
    path = library("detforge_ort" if device == "cpu" else "detforge_ort_cuda")
    if path is None:
        return
    try:
        options.register_custom_ops_library(str(path))
    except Exception as error:
        raise IncompatibleError(
            f"{path}: the operators' library cannot be used; {_first_line(error)}; install detforge anew"
        ) from error


def _providers(device: str, available: list[str]) -> list[Any]:
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in available:
        raise AbsentError(
            f"device {device}: this ONNX Runtime has no CUDA; pip install 'detforge[gpu]' or use --device cpu"
        )
    return [("CUDAExecutionProvider", {"device_id": index or "0"}), "CPUExecutionProvider"]


def _shape(shape: list[Any]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape)


def _dtype(kind: str) -> str:
    """ONNX Runtime's "tensor(float16)" as NumPy says it."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
