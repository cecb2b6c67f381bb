"""The part of `triton_python_backend_utils` that our model uses; requests to networks run in ONNX Runtime."""

import types
from pathlib import Path
from typing import Any

import numpy as np

from detforge.deploy.backends.ort import OrtBackend


class TritonError(Exception):
    INVALID_ARG = 1

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code

    def message(self) -> str:
        return str(self)


class Tensor:
    def __init__(self, name: str, values: np.ndarray) -> None:
        self._name, self._values = name, values

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> np.ndarray:
        return self._values


class InferenceResponse:
    def __init__(self, output_tensors: list[Tensor] | None = None, error: TritonError | None = None) -> None:
        self._tensors, self._error = output_tensors or [], error

    def output_tensors(self) -> list[Tensor]:
        return self._tensors

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error


class Request:
    """A request that a client sent."""

    def __init__(self, **inputs: np.ndarray) -> None:
        self.inputs = [Tensor(name, values) for name, values in inputs.items()]


def module(repository: Path) -> types.ModuleType:
    """The module as Triton gives it to the models of a repository."""

    class InferenceRequest:
        def __init__(
            self, *, model_name: str, requested_output_names: list[str], inputs: list[Tensor], **_: Any
        ) -> None:
            self._file = repository / model_name / "1/model.onnx"
            self._names, self._inputs = requested_output_names, inputs

        def exec(self) -> InferenceResponse:
            if len(self._inputs[0].as_numpy()) > 8:
                return InferenceResponse(error=TritonError("more than max_batch_size"))
            found = OrtBackend(str(self._file), threads=1).run({each.name(): each.as_numpy() for each in self._inputs})
            return InferenceResponse([Tensor(name, found[name]) for name in self._names])

    def get_input_tensor_by_name(request: Request, name: str) -> Tensor:
        return next(each for each in request.inputs if each.name() == name)

    def get_output_tensor_by_name(response: InferenceResponse, name: str) -> Tensor:
        return next(each for each in response.output_tensors() if each.name() == name)

    made = types.ModuleType("triton_python_backend_utils")
    made.__dict__.update(
        InferenceRequest=InferenceRequest,
        InferenceResponse=InferenceResponse,
        PreferredMemory=lambda kind: kind,
        TRITONSERVER_MEMORY_CPU=0,
        Tensor=Tensor,
        TritonError=TritonError,
        TritonModelException=RuntimeError,
        get_input_tensor_by_name=get_input_tensor_by_name,
        get_output_tensor_by_name=get_output_tensor_by_name,
    )
    return made
