"""Stands in for the package openvino where that is not installed: what the backend calls, answered by ONNX Runtime."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort


@dataclass(frozen=True)
class Axis:
    size: int | None

    @property
    def is_static(self) -> bool:
        return self.size is not None

    def get_length(self) -> int:
        if self.size is None:
            raise RuntimeError("Cannot get length of dynamic dimension")
        return self.size


class Output:
    def __init__(self, port: Any) -> None:
        self.names = {port.name, f"{port.name}:0"}
        kind = np.dtype({"tensor(float)": "float32", "tensor(int64)": "int64"}[port.type])
        self.element_type = SimpleNamespace(to_dtype=lambda: kind)
        self.partial_shape = [Axis(size if isinstance(size, int) else None) for size in port.shape]


class Request:
    def __init__(self, session: Any) -> None:
        self._session = session
        self.profiling_info = [
            SimpleNamespace(node_name="conv", node_type="Convolution", real_time=timedelta(milliseconds=3)),
            SimpleNamespace(node_name="relu", node_type="Relu", real_time=timedelta(0)),
        ]

    def infer(self, inputs: Mapping[str, np.ndarray], share_inputs: bool, share_outputs: bool) -> dict[int, np.ndarray]:
        assert share_inputs and not share_outputs
        try:
            return dict(enumerate(self._session.run(None, inputs)))
        except Exception as error:
            raise RuntimeError(f"Exception from src/inference/src/cpp/infer_request.cpp:1:\n{error}") from None


@dataclass
class CompiledModel:
    session: Any
    inputs: list[Output] = field(init=False)
    outputs: list[Output] = field(init=False)

    def __post_init__(self) -> None:
        self.inputs = [Output(port) for port in self.session.get_inputs()]
        self.outputs = [Output(port) for port in self.session.get_outputs()]

    def create_infer_request(self) -> Request:
        return Request(self.session)


class Core:
    configs: list[Mapping[str, Any]] = []  # noqa: RUF012 what every compilation was asked for

    def read_model(self, model: bytes) -> bytes:
        proto = onnx.ModelProto.FromString(model)
        if proto.functions or any(node.op_type == "DeformConv" for node in proto.graph.node):
            raise RuntimeError(
                "Exception from src/inference/src/cpp/core.cpp:105:\nCheck 'false' failed\n"
                "Model wasn't fully converted.\nSummary:\n-- No conversion rule found for operations: DeformConv-19\n"
            )
        return model

    def compile_model(self, model: bytes, device: str, config: Mapping[str, Any]) -> CompiledModel:
        assert device == "CPU"
        self.configs.append(config)
        try:
            return CompiledModel(ort.InferenceSession(model, providers=["CPUExecutionProvider"]))
        except Exception as error:
            raise RuntimeError(f"Exception from src/inference/src/cpp/core.cpp:117:\n{error}") from None


def module() -> ModuleType:
    """The package as `import openvino` gives it."""
    package = ModuleType("openvino")
    package.__spec__ = ModuleSpec("openvino", None)
    package.Core = Core  # type: ignore[attr-defined]
    return package
