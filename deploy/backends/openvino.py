"""OpenVINO, on the CPU."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract.port import Arrays, Port
from ..model_file.inline import inline_functions, port_names
from ..model_file.metadata import metadata_of
from ..system.errors import AbsentError, IncompatibleError, InputError
from ..system.processors import available_processors
from .node_times import NodeTime, mean_times

_CONFIG = {
    # Without this, OpenVINO runs fp32 files in bf16 on processors that support it. The trunk of a bf16 file still runs
    # in bf16, and its decode in fp32.
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    "ENABLE_CPU_PINNING": False,  # other processes may run on the same processors
}


class OpenVinoBackend:
    """Runs an ONNX file in OpenVINO. Our operators run as the ONNX functions in the file.

    bf16 files run in bf16 if the processor supports it, all others in fp32. `threads` defaults to the number of
    processors available to this process. With `profile` each run is timed layer by layer. If the file runs NMS in its
    graph, detections with equal scores may be in any order.
    """

    def __init__(self, path: str, *, device: str = "cpu", threads: int | None = None, profile: bool = False) -> None:
        check_installation()
        openvino: Any = import_module("openvino")
        if device != "cpu":
            raise IncompatibleError(
                f"device {device}: OpenVINO runs on the CPU here; use --device cpu or --backend ort"
            )
        config = _CONFIG | {"INFERENCE_NUM_THREADS": threads or available_processors(), "PERF_COUNT": profile}
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise InputError(f"{path}: no such model file; {error.strerror}; export one with detexport") from error
        try:
            self.metadata: Mapping[str, str] = metadata_of(data)
            core = openvino.Core()
            self._compiled = core.compile_model(core.read_model(inline_functions(data)), "CPU", config)
        except Exception as error:  # OpenVINO raises RuntimeError for everything
            raise AbsentError(
                f"{path}: not a model that OpenVINO can run; {_reason(error)}; use --backend ort"
            ) from error
        inputs, outputs = port_names(data)
        self.inputs = _ports(self._compiled.inputs, inputs)
        self.outputs = _ports(self._compiled.outputs, outputs)
        self._path = path
        self._idle: list[Any] = []  # infer requests; append and pop are atomic
        self._profiled = profile
        self._times: dict[tuple[str, str], list[float]] = {}

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        try:
            request: Any = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            # The outputs are copied, because the request's next run overwrites its memory.
            found = request.infer(dict(feeds), share_inputs=True, share_outputs=False)
            if self._profiled:
                self._record(request)
            return {port.name: np.asarray(found[i]) for i, port in enumerate(self.outputs)}
        except RuntimeError as error:
            raise IncompatibleError(
                f"{self._path}: OpenVINO failed while it ran; {_reason(error)}; use --backend ort"
            ) from error
        finally:
            self._idle.append(request)

    def node_times(self) -> list[NodeTime]:
        """The mean time of each layer, the slowest first, without the first run. Needs `profile`."""
        return mean_times(self._times)

    def _record(self, request: Any) -> None:
        for layer in request.profiling_info:
            if layer.real_time:
                took = layer.real_time.total_seconds() * 1e3
                self._times.setdefault((layer.node_name, layer.node_type), []).append(took)


def check_installation() -> None:
    """Raise AbsentError if OpenVINO is not installed."""
    if find_spec("openvino") is None:
        raise AbsentError("OpenVINO is not installed; pip install 'detforge[openvino]', or use --backend ort")


def _ports(ports: Sequence[Any], names: list[str]) -> tuple[Port, ...]:
    """Ports with their names in the file; OpenVINO's ports may have several names."""
    found: list[Port] = []
    for port in ports:
        name = next(name for name in names if name in port.names)
        names = [other for other in names if other != name]
        shape = tuple(axis.get_length() if axis.is_static else None for axis in port.partial_shape)
        found.append(Port(name, shape, port.element_type.to_dtype().name))
    return tuple(found)


def _reason(error: Exception) -> str:
    """The cause in OpenVINO's message, without the lines about its source code."""
    lines = [line.strip(" -") for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("Exception from", "Check '", "FrontEnd API"))]
    telling = [line for line in said if line.startswith("No conversion rule")]
    return next(iter(telling or said or lines), type(error).__name__)
