# ruff: noqa: F821
"""A plan and what runs it, in ONNX Runtime; see _network.py."""

import ctypes
import json
import os
import threading
import time
import zlib
from typing import Any

import numpy as np
import onnx
import onnxruntime
from cuda.bindings import runtime as cuda


class IRuntimeConfig(_Real):
    cuda_graph_strategy: Any = None


class Runtime(_Real):
    engine_host_code_allowed = False

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> "ICudaEngine | None":
        magic, check, body = serialized_engine[:7], serialized_engine[7:11], serialized_engine[11:]
        size = int.from_bytes(body[:8], "little")
        if magic != MAGIC or int.from_bytes(check, "little") != zlib.crc32(body):
            return self._refuse("Serialization assertion plan failed")
        asked = json.loads(body[8 : 8 + size])
        if asked["plugins"] and not self.engine_host_code_allowed:
            return self._refuse("the plan holds host code, which is not allowed")
        if asked["version"] != VERSION and "VERSION_COMPATIBLE" not in asked["flags"]:
            return self._refuse("the version of the plan is another")
        if asked["sm"] and _capability() not in asked["sm"] and asked["hardware"] != "AMPERE_PLUS":
            return self._refuse("the compute capability of the plan is another")
        return ICudaEngine(asked, body[8 + size :])

    def _refuse(self, why: str) -> None:
        self._logger.log(ILogger.ERROR, why)


class EngineInspector(_Real):
    def __init__(self, network: INetworkDefinition) -> None:
        self._network = network

    def get_engine_information(self, format: Any) -> str:
        assert format == LayerInformationFormat.JSON
        layers = [self._network.get_layer(i) for i in range(self._network.num_layers)]
        return json.dumps({"Layers": [self._information(layer) for layer in layers]})

    def _information(self, layer: ILayer) -> dict[str, Any]:
        kinds = [layer.get_input(i)._kind for i in range(layer.num_inputs)]
        ports = [{"Format/Datatype": _TYPES[kind][2] if kind in _TYPES else "?"} for kind in kinds]
        return {"Name": layer.name, "LayerType": layer.type.name.title(), "Inputs": ports}


class ICudaEngine(_Real):
    def __init__(self, asked: dict[str, Any], model: bytes) -> None:
        self._asked, self._network = asked, INetworkDefinition()
        self._network._read(model)
        self._ports = {v.name: ITensor(v.name, v) for v in (*self._network._inputs, *self._network._outputs)}
        self._inputs = {v.name for v in self._network._inputs}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.num_io_tensors = len(self._ports)
        self.num_optimization_profiles = max(1, len(asked["profiles"]))
        self.streamable_weights_size = 1000 if "WEIGHT_STREAMING" in asked["flags"] else 0
        self.weight_streaming_budget_v2 = 1000
        self._used = threading.Lock()

    def get_weight_streaming_automatic_budget(self) -> int:
        return 500

    def get_tensor_name(self, index: int) -> str:
        return list(self._ports)[index]

    def get_tensor_mode(self, name: str) -> Any:
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._ports[name].shape

    def get_tensor_dtype(self, name: str) -> Any:
        return self._ports[name].dtype

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
        return self._asked["profiles"][profile_index][name]

    def create_engine_inspector(self) -> EngineInspector:
        return EngineInspector(self._network)

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig()

    def create_execution_context(self, config: IRuntimeConfig | None = None) -> "IExecutionContext":
        assert self._used.acquire(blocking=False), "two threads use the engine"
        time.sleep(0.01)
        self._used.release()
        return IExecutionContext(self, config)


class IExecutionContext(_Real):
    def __init__(self, engine: ICudaEngine, config: IRuntimeConfig | None) -> None:
        self.engine, self._config = engine, config
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._allocators: dict[str, Any] = {}
        self._kept: list[Any] = []
        self._profile = 0

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self._profile, self._shapes = profile_index, {}
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low = high = self.engine.get_tensor_shape(name)
        if -1 in low:
            low, _, high = self.engine.get_tensor_profile_shape(name, self._profile)
        if not all(a <= size <= b for a, size, b in zip(low, shape, high, strict=True)):
            return False
        self._shapes[name] = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """As TensorRT derives them: dimensions that depend on data alone stay unknown."""
        if name in self._shapes:
            return self._shapes[name]
        proto = onnx.ModelProto.FromString(self.engine._network._model)
        for value in proto.graph.input:
            for dim, size in zip(value.type.tensor_type.shape.dim, self._shapes[value.name], strict=True):
                dim.dim_value = size
        for value in proto.graph.output:
            for dim in value.type.tensor_type.shape.dim:
                dim.Clear()
        flat = onnx.inliner.inline_local_functions(proto)
        inferred = onnx.shape_inference.infer_shapes(flat, data_prop=True).graph.output
        known = {value.name: ITensor(value.name, value).shape for value in inferred}
        return tuple(-1 if size == 0 else size for size in known[name])

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def set_output_allocator(self, name: str, output_allocator: Any) -> bool:
        self._allocators[name] = output_allocator
        self._kept.append(output_allocator)  # as the bindings do, for as long as the context lives
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        waits = self.engine.streamable_weights_size > self.engine.weight_streaming_budget_v2
        if (waits or os.environ.get("STANDIN_FAULT") == "wait") and cuda.invalidate(stream_handle):
            return False
        shapes, addresses, allocators = dict(self._shapes), dict(self._addresses), dict(self._allocators)
        cuda.enqueue(stream_handle, lambda: self._execute(shapes, addresses, allocators, stream_handle))
        return True

    def _execute(self, shapes: Any, addresses: Any, allocators: Any, stream: int) -> None:
        dtypes = {name: nptype(self.engine.get_tensor_dtype(name)) for name in self.engine._ports}
        feeds = {}
        for name, shape in shapes.items():
            size = int(np.prod(shape)) * np.dtype(dtypes[name]).itemsize
            raw = bytes(cuda.device_bytes(addresses[name], size))
            feeds[name] = np.frombuffer(raw, dtypes[name]).reshape(shape)
        names = [name for name in self.engine._ports if name not in shapes]
        for name, value in zip(names, self.engine._session.run(names, feeds), strict=True):
            raw = np.ascontiguousarray(value, dtypes[name]).tobytes()
            address = addresses.get(name)
            if name in allocators:
                address = allocators[name].reallocate_output_async(name, 0, len(raw), 256, stream)
                allocators[name].notify_shape(name, value.shape)
            ctypes.memmove(cuda.device_bytes(address, len(raw)), raw, len(raw))


for _name, _kind in list(globals().items()):
    # Nothing here may have what the real version has not; what only other versions have goes.
    if isinstance(_kind, type) and _kind.__module__ == __name__ and not _name.startswith("_"):
        if _name not in SHAPE:
            del globals()[_name]
            continue
        for _member in [m for m in vars(_kind) if not m.startswith("_")]:
            if _member not in SHAPE[_name].split():
                assert any(_member in shape.get(_name, "").split() for shape in SHAPES.values()), f"{_name}.{_member}"
                delattr(_kind, _member)
if not CudaGraphStrategy:
    del CudaGraphStrategy, ComputeCapability
