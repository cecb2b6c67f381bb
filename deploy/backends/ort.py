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
    # Moves quantization before max pooling, which is several times slower on integers.
    "QDQPropagationTransformer",
    # Quantizes the biases of files for TensorRT. Their scales, products of two scales, underflow in half precision.
    "WeightBiasQuantization",
)
"""Optimizers of ONNX Runtime that are disabled, because they harm int8 files."""


class OrtBackend:
    """Runs an ONNX file in ONNX Runtime.

    `device` is "cpu" or "cuda:N"; `threads` defaults to the number of processors available to this process. Our
    operators run as kernels if their library for the device was built. Without it, or if `kernels` is False, they run
    as the ONNX functions in the file, with equal results. With `profile` each run is timed node by node.
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
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs] only partly typed

        ort: Any = onnxruntime
        if not Path(path).is_file():
            raise InputError(f"{path}: no such model file; export one with detexport")
        options = ort.SessionOptions()
        options.log_severity_level = 4  # errors are raised, not logged
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
        except Exception as error:  # the base of all of ONNX Runtime's exceptions
            raise IncompatibleError(
                f"{path}: not a model that ONNX Runtime can open; {_first_line(error)}; export it again with detexport"
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
        """The mean time of each node, the slowest first, without the first run. Needs `profile`, and ends it."""
        events: Any = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        self._folder.cleanup()
        times: dict[tuple[str, str], list[float]] = {}
        for event in events:
            name, _, kind = event["name"].rpartition("_kernel_")
            if kind == "time":
                times.setdefault((name, event["args"]["op_name"]), []).append(event["dur"] / 1e3)
        return mean_times(times)


def check_installation() -> None:
    """Raise an error if ONNX Runtime is missing, or if both of its distributions are installed.

    They overwrite each other's files. Raises AbsentError or IncompatibleError.
    """
    # importlib.metadata would take a sixth of the time to load a model.
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
            f"{path}: the operators' library cannot be loaded; {_first_line(error)}; reinstall detforge"
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
    """NumPy's name of an ONNX Runtime type like "tensor(float16)"."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
