# ruff: noqa: F821
"""Enumerations and networks of both stand-ins. MODULE, VERSION and HERE are given; see README.md.

Names are TensorRT's own, and arguments in its order. `_builder.py` and `_runtime.py` go on in the same names.
"""

import enum
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner

SHAPES = json.loads(Path(HERE, "shape.json").read_text())
SHAPE = SHAPES[f"{MODULE} {VERSION}"]


def _enum(name: str) -> Any:
    """An enumeration with the recorded members."""
    members = [m for m in SHAPE.get(name, "").split() if m not in ("name", "value")]
    return enum.IntEnum(name, {m: i for i, m in enumerate(members)}) if members else None


BuilderFlag = _enum("BuilderFlag")
ComputeCapability = _enum("ComputeCapability")
CudaGraphStrategy = _enum("CudaGraphStrategy")
DataType = _enum("DataType")
HardwareCompatibilityLevel = _enum("HardwareCompatibilityLevel")
LayerInformationFormat = _enum("LayerInformationFormat")
LayerType = _enum("LayerType")
MemoryPoolType = _enum("MemoryPoolType")
NetworkDefinitionCreationFlag = _enum("NetworkDefinitionCreationFlag")
PluginCapabilityType = _enum("PluginCapabilityType")
ProfilingVerbosity = _enum("ProfilingVerbosity")
TensorIOMode = _enum("TensorIOMode")
_TYPES = {
    onnx.TensorProto.FLOAT: ("FLOAT", np.float32, "Row major linear FP32"),
    onnx.TensorProto.FLOAT16: ("HALF", np.float16, "Row major linear FP16 format"),
    onnx.TensorProto.INT64: ("INT64", np.int64, "Int64"),
    onnx.TensorProto.INT32: ("INT32", np.int32, "Int32"),
    onnx.TensorProto.INT8: ("INT8", np.int8, "Int8"),
    onnx.TensorProto.BOOL: ("BOOL", np.bool_, "Bool"),
    onnx.TensorProto.BFLOAT16: ("BF16", None, "Row major linear BF16"),
}
_KINDS = {
    "Conv": "CONVOLUTION",
    "ConvTranspose": "DECONVOLUTION",
    "DequantizeLinear": "DEQUANTIZE",
    "QuantizeLinear": "QUANTIZE",
    "Constant": "CONSTANT",
}


def nptype(trt_type: Any) -> Any:
    np_type = next(np_type for name, np_type, _ in _TYPES.values() if name == trt_type.name)
    if np_type is None:
        raise TypeError("Could not resolve TensorRT datatype to an equivalent numpy datatype.")
    return np_type


class _Real:
    """What exists in C++: it has the attributes that it has."""

    def __setattr__(self, name: str, value: object) -> None:
        known = " ".join(SHAPE.get(kind.__name__, "") for kind in type(self).__mro__).split()
        assert name.startswith("_") or name in known, f"{type(self).__name__} has no {name}"
        super().__setattr__(name, value)


def _capability() -> str:
    return os.environ.get("STANDIN_GPU", "none 0").split(";")[0].split()[-1]


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def __init__(self) -> None:
        self._ready = True


class IProgressMonitor:
    def __init__(self) -> None:
        self._ready = True


class IOutputAllocator:
    def __init__(self) -> None:
        self._ready = True


class IPluginRegistry(_Real):
    def __init__(self) -> None:
        self._known: list[str] = []

    def load_library(self, plugin_path: str) -> object | None:
        names = Path(plugin_path).read_text().split()  # a library here is a list of operators
        if set(names) & set(self._known):
            return None
        self._known += names
        return object()


_registry = IPluginRegistry()


def get_plugin_registry() -> IPluginRegistry:
    return _registry


class ITensor(_Real):
    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self._kind = value.type.tensor_type.elem_type
        self.dtype = DataType[_TYPES[self._kind][0]] if self._kind in _TYPES else DataType.FLOAT
        dims = value.type.tensor_type.shape.dim
        self.shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims)


class IPluginV3OneCore(_Real):
    def __init__(self, name: str) -> None:
        self.plugin_name, self.plugin_version, self.plugin_namespace = name, "1", "detforge"


class IPluginV3(_Real):
    def __init__(self, name: str) -> None:
        self._core = IPluginV3OneCore(name)

    def get_capability_interface(self, type: Any) -> IPluginV3OneCore:
        assert type == PluginCapabilityType.CORE
        return self._core


class ILayer(_Real):
    def __init__(self, node: Any, values: dict[str, Any], is_plugin: bool) -> None:
        self.name = node.name or node.output[0]
        self.type = LayerType["PLUGIN_V3" if is_plugin else _KINDS.get(node.op_type, "ELEMENTWISE")]
        self.num_inputs, self.num_outputs = len(node.input), len(node.output)
        self._node, self._values = node, values

    def get_input(self, index: int) -> ITensor:
        return self._tensor(self._node.input[index])

    def get_output(self, index: int) -> ITensor:
        return self._tensor(self._node.output[index])

    def _tensor(self, name: str) -> ITensor:
        return ITensor(name, self._values.get(name, onnx.ValueInfoProto()))


class IPluginV3Layer(ILayer):
    @property
    def plugin(self) -> IPluginV3:
        return IPluginV3(self._node.op_type)


class INetworkDefinition(_Real):
    def __init__(self) -> None:
        self._model, self._layers, self._values = b"", [], {}

    def _read(self, model: bytes) -> None:
        self._model = model
        proto = onnx.ModelProto.FromString(model)
        plugins = [("detforge", name) for name in _registry._known]
        flat = onnx.inliner.inline_selected_functions(proto, plugins, exclude=True)
        # What the nodes that stay as plugins give has the type of what they take; here that matters little.
        flat = onnx.shape_inference.infer_shapes(flat)
        graph = flat.graph
        self._values = {v.name: v for v in (*graph.value_info, *graph.input, *graph.output)}
        for constant in graph.initializer:
            value = onnx.helper.make_tensor_value_info(constant.name, constant.data_type, constant.dims)
            self._values[constant.name] = value
        self._layers = [ILayer(n, self._values, (n.domain, n.op_type) in plugins) for n in graph.node]
        self._inputs, self._outputs = list(graph.input), list(graph.output)

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    def get_layer(self, index: int) -> ILayer:
        return self._layers[index]


class ParserError(_Real):
    def __init__(self, said: str) -> None:
        self._said = said

    def desc(self) -> str:
        return self._said

    def node(self) -> int:
        return 0

    def node_name(self) -> str:
        return ""


class OnnxParser(_Real):
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network, self._errors = network, []

    def parse(self, model: bytes) -> bool:
        try:
            self._network._read(model)
        except Exception as error:
            self._errors = [ParserError(str(error))]
        return not self._errors

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]
