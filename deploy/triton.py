"""Finished detections of a network in Triton: the model that Triton's Python backend runs, beside network.json."""

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .backends.guarded import GuardedBackend
from .card import parse_card
from .contract.port import Arrays, Port
from .inputs.image import decode_image
from .inputs.sources import Picture
from .loader import assemble
from .pipelines.each import found_in_each
from .results.instances import Instances
from .system.errors import InputError


class Network:
    """The backend that asks the network's own model in the same Triton."""

    def __init__(self, triton: Any, described: dict[str, Any]) -> None:
        self._triton = triton
        self._name = described["network"]
        self.inputs: Sequence[Port] = [Port(name, tuple(shape), dtype) for name, shape, dtype in described["inputs"]]
        self.outputs: Sequence[Port] = [Port(name, tuple(shape), dtype) for name, shape, dtype in described["outputs"]]
        self.metadata: Mapping[str, str] = {}

    def run(self, feeds: Mapping[str, Any]) -> Arrays:
        triton, names = self._triton, [port.name for port in self.outputs]
        answer = triton.InferenceRequest(
            model_name=self._name,
            requested_output_names=names,
            inputs=[triton.Tensor(name, values) for name, values in feeds.items()],
            preferred_memory=triton.PreferredMemory(triton.TRITONSERVER_MEMORY_CPU),
        ).exec()
        if answer.has_error():
            raise triton.TritonModelException(answer.error().message())
        return {name: triton.get_output_tensor_by_name(answer, name).as_numpy() for name in names}


class TritonPythonModel:
    """Triton's interface: it batches requests, each of one image file or several."""

    def initialize(self, args: dict[str, str]) -> None:
        self._triton: Any = importlib.import_module("triton_python_backend_utils")  # only Triton has it
        file = Path(args["model_repository"]) / args["model_version"] / "network.json"
        described: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        card = parse_card(described["card"], file)
        self._pipeline = assemble(GuardedBackend(Network(self._triton, described), described["network"]), card)

    def execute(self, requests: list[Any]) -> list[Any]:
        pictures = [self._pictures(request) for request in requests]
        good = [each for batch in pictures for each in batch if isinstance(each, Picture)]
        found = iter(found_in_each(good, lambda some: self._pipeline([picture.image for picture in some])))
        return [
            self._answer([next(found) if isinstance(each, Picture) else each for each in batch]) for batch in pictures
        ]

    def _pictures(self, request: Any) -> list[Picture | InputError]:
        files = self._triton.get_input_tensor_by_name(request, "image").as_numpy().reshape(-1)
        return [_decoded(data) for data in files]

    def _answer(self, found: list[Instances | InputError]) -> Any:
        """The detections of each image of a request; an error if one of them is no image."""
        texts: list[bytes] = []
        for each in found:
            if isinstance(each, InputError):
                error = self._triton.TritonError(str(each), self._triton.TritonError.INVALID_ARG)
                return self._triton.InferenceResponse(error=error)
            texts.append(json.dumps(each.to_coco()).encode())
        return self._triton.InferenceResponse([self._triton.Tensor("detections", np.array(texts, np.object_)[:, None])])


def _decoded(data: bytes) -> Picture | InputError:
    try:
        return Picture("image", decode_image(data, "image"))
    except InputError as error:
        return error
