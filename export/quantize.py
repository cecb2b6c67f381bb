"""Quantisation of an exported graph to int8, with QuantizeLinear and DequantizeLinear pairs around convolutions.

Only convolutions are quantised, their weights per channel. Excluded are convolutions whose result reaches an output,
or the sampling positions of a deformable layer, without another convolution in between: an error there is an error
in px.

"cpu" is for the integer convolution of ONNX Runtime: unsigned activations, signed weights (U8S8), a quantised result
and a 32-bit bias. "tensorrt" is for TensorRT, which has its own fusion rules: signed symmetric activations and
weights, with pairs around the inputs only. All other layers keep their precision.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from ..deploy.contract.port import Arrays
from ..deploy.system.errors import ExportError
from ..plugins.core.node import DOMAIN
from ..plugins.operators import FLOAT_INPUTS
from .calibrate import Scale, best_scale, observe

Flavor = Literal["cpu", "tensorrt"]

_POSITIONS = {"DeformConv": (1, 2), "ModulatedDeformConv": (1, 2)} | FLOAT_INPUTS
"""The inputs of our operators that hold sampling positions."""
_WEIGHT_LIMIT: dict[Flavor, int] = {"cpu": 64, "tensorrt": 127}
"""Largest code of a weight. Processors without VNNI add two products in 16 bits, which fit only up to 255 * 64."""
_FEW_CHANNELS = 8
"""With fewer, ONNX Runtime's integer convolution is slower than its float one."""


def quantize(proto: onnx.ModelProto, flavor: Flavor, inputs: Iterable[Arrays], count: int) -> tuple[str, ...]:
    """Quantise a graph in place, calibrated on `count` inputs, and return the names of the quantised convolutions.

    Raises InputError if a value is not finite on an input, and ExportError if there is nothing to quantise.
    """
    chosen = convolutions(proto, flavor)
    if not chosen:
        raise ExportError("no convolution of this network can be quantised; export it with --fp16")
    places = {name: None for node in chosen for name in _tensors(proto, node, flavor)}
    samples = observe(proto, list(places), inputs, count)
    low, high = (0, 255) if flavor == "cpu" else (-127, 127)
    scales = {name: best_scale(values, low, high, flavor != "cpu") for name, values in samples.items()}
    _Rewriter(proto, flavor, scales).rewrite(chosen)
    return tuple(node.name for node in chosen)


def convolutions(proto: onnx.ModelProto, flavor: Flavor) -> list[NodeProto]:
    """The convolutions to quantise: those with constant weights and another convolution before every output.

    On a CPU, convolutions with few input channels, such as the first one, are excluded too.
    """
    weights = {tensor.name: tensor.dims for tensor in proto.graph.initializer}
    last = _last_convolutions(proto)
    chosen: list[NodeProto] = []
    for node in proto.graph.node:
        if node.op_type != "Conv" or node.domain or node.input[1] not in weights or node.name in last:
            continue
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        if flavor == "tensorrt" or weights[node.input[1]][1] * groups >= _FEW_CHANNELS:
            chosen.append(node)
    return chosen


def _last_convolutions(proto: onnx.ModelProto) -> set[str]:
    """The convolutions that outputs and sampling positions depend on without another convolution in between."""
    makers = {name: node for node in proto.graph.node for name in node.output}
    waiting = [output.name for output in proto.graph.output]
    for node in proto.graph.node:
        if node.domain == DOMAIN:
            waiting += [node.input[i] for i in _POSITIONS.get(node.op_type, ()) if i < len(node.input)]
    last: set[str] = set()
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in makers:
            continue
        seen.add(name)
        node = makers[name]
        if node.op_type == "Conv":
            last.add(node.name)
        elif node.op_type not in ("DeformConv", "ModulatedDeformConv"):
            waiting += node.input
    return last


def _tensors(proto: onnx.ModelProto, node: NodeProto, flavor: Flavor) -> list[str]:
    """The tensors around a convolution that are quantised."""
    return [node.input[0], _result(proto, node)] if flavor == "cpu" else [node.input[0]]


def _result(proto: onnx.ModelProto, node: NodeProto) -> str:
    """The result of a convolution, after its ReLU if only that reads it: unsigned codes clip at 0 in the same way."""
    readers = [other for other in proto.graph.node if node.output[0] in other.input]
    return readers[0].output[0] if [other.op_type for other in readers] == ["Relu"] else node.output[0]


class _Rewriter:
    """Inserts quantisation into one graph."""

    def __init__(self, proto: onnx.ModelProto, flavor: Flavor, scales: Mapping[str, Scale]) -> None:
        self._proto, self._graph = proto, proto.graph
        self._flavor: Flavor = flavor
        self._scales = scales
        self._constants = {tensor.name: tensor for tensor in self._graph.initializer}
        self._weights: list[NodeProto] = []  # nodes that dequantise weights and biases
        self._made: dict[str, list[NodeProto]] = {}  # the quantisation pair that follows each tensor

    def rewrite(self, chosen: list[NodeProto]) -> None:
        """Quantise the convolutions."""
        results = [_result(self._proto, node) for node in chosen] if self._flavor == "cpu" else []
        steps = self._weight_steps(chosen)
        dtypes = [self._dtype(node.input[1]) for node in chosen]
        for node, dtype in zip(chosen, dtypes, strict=True):
            weight = node.input[1]
            if self._flavor == "cpu" and len(node.input) > 2:
                step = self._scales[node.input[0]].step * steps[weight]
                node.input[2] = self._quantized(node.input[2], step, 2**31 - 1, TensorProto.INT32, f"{node.name}/bias")
            node.input[1] = self._quantized(weight, steps[weight], _WEIGHT_LIMIT[self._flavor], TensorProto.INT8)
            node.input[0] = self._pair(node.input[0], dtype)
        values = {name: self._pair(name, dtype) for name, dtype in zip(results, dtypes, strict=False)}
        for node in self._graph.node:
            node.input[:] = [values.get(name, name) for name in node.input]
        self._order()

    def _weight_steps(self, chosen: list[NodeProto]) -> dict[str, NDArray[np.float64]]:
        """The step (c,) of each weight, per channel: spans the largest value and lets the bias fit 32 bits."""
        steps: dict[str, NDArray[np.float64]] = {}
        for node in chosen:
            weight = self._array(node.input[1])
            step = np.abs(weight).reshape(len(weight), -1).max(1) / _WEIGHT_LIMIT[self._flavor]
            least = np.full_like(step, 1e-7)
            if self._flavor == "cpu" and len(node.input) > 2:
                least = np.maximum(least, np.abs(self._array(node.input[2])) / self._scales[node.input[0]].step / 2**30)
            steps[node.input[1]] = np.maximum(steps.setdefault(node.input[1], step), least)
        return steps

    def _quantized(self, name: str, step: NDArray[np.float64], limit: int, kind: int, stem: str = "") -> str:
        """Quantise a constant with a step (c,) per channel, and return the name of the dequantised values."""
        stem = stem or name
        values = f"{stem}/values"
        if any(values in node.output for node in self._weights):
            return values  # Several levels share the constant.
        constant = self._array(name)
        self._store(f"{stem}/step", step.astype(self._dtype(name)))
        codes = np.rint(constant / self._array(f"{stem}/step").reshape(-1, *[1] * (constant.ndim - 1)))
        integers = helper.tensor_dtype_to_np_dtype(kind)
        self._store(f"{stem}/codes", np.clip(codes, -limit, limit).astype(integers))
        self._store(f"{stem}/zero", np.zeros(len(constant), integers))
        inputs = [f"{stem}/{part}" for part in ("codes", "step", "zero")]
        self._weights.append(helper.make_node("DequantizeLinear", inputs, [values], name=values, axis=0))
        return values

    def _pair(self, name: str, dtype: Any) -> str:
        """Quantise and dequantise a tensor, and return the name of the dequantised values."""
        codes, values = f"{name}/codes", f"{name}/values"
        if name not in self._made:
            scale = self._scales[name]
            self._store(f"{name}/step", np.array(scale.step, dtype))
            self._store(f"{name}/zero", np.array(scale.zero, np.uint8 if self._flavor == "cpu" else np.int8))
            how = [f"{name}/step", f"{name}/zero"]
            self._made[name] = [
                helper.make_node("QuantizeLinear", [name, *how], [codes], name=codes),
                helper.make_node("DequantizeLinear", [codes, *how], [values], name=values),
            ]
        return values

    def _dtype(self, name: str) -> Any:
        return helper.tensor_dtype_to_np_dtype(self._constants[name].data_type)

    def _array(self, name: str) -> NDArray[np.float64]:
        return numpy_helper.to_array(self._constants[name]).astype(np.float64)

    def _store(self, name: str, value: NDArray[Any]) -> None:
        self._constants[name] = numpy_helper.from_array(value, name)

    def _order(self) -> None:
        """Sort the nodes topologically and drop constants that are no longer read."""
        nodes = self._weights + self._made.get(self._graph.input[0].name, [])
        for node in self._graph.node:
            nodes.append(node)
            for name in node.output:
                nodes += self._made.get(name, [])
        read = {name for node in nodes for name in node.input}
        constants = [tensor for name, tensor in self._constants.items() if name in read]
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        del self._graph.initializer[:]
        self._graph.initializer.extend(constants)
