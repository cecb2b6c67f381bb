"""The weights of ONNX files, as exports of other frameworks have them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from .layers import Layer
from .stored import MalformedError

_MOST_NODES = 20_000  # A larger graph is none of our networks, and could use any amount of time.


def read_onnx(path: Path) -> list[Layer]:
    """The convolutions of the graph, each with its batch norm folded in.

    Raises MalformedError if the file is damaged, has no convolutions or keeps its weights in other files.
    """
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
        return _layers(graph)
    except (MalformedError, OSError):
        raise
    except Exception as error:  # A damaged file can raise any exception in the parser.
        raise MalformedError(f"damaged or not an ONNX file ({type(error).__name__})") from error


def _layers(graph: onnx.GraphProto) -> list[Layer]:
    if len(graph.node) > _MOST_NODES:
        raise MalformedError(f"its graph has {len(graph.node)} nodes, more than any of our networks")
    constants = _constants(graph)
    norms = {node.input[0]: node for node in graph.node if node.op_type == "BatchNormalization"}
    sources: dict[str, frozenset[int]] = {}
    layers: list[Layer] = []
    for node in graph.node:
        given = frozenset[int]().union(*(sources.get(name, frozenset[int]()) for name in node.input))
        if node.op_type == "Conv" and node.input[1] in constants:
            weight = _array(constants[node.input[1]])
            bias = _array(constants[node.input[2]]) if len(node.input) > 2 else np.zeros(len(weight))
            if (norm := norms.get(node.output[0])) is not None:
                weight, bias = _folded(weight, bias, norm, constants)
            stride = next((tuple(each.ints) for each in node.attribute if each.name == "strides"), (1, 1))
            layers.append(Layer(node.input[1], _tensor(weight), _tensor(bias), stride, given))
            given = frozenset([len(layers) - 1])
        # The size of a tensor says nothing about where its values come from.
        sources |= dict.fromkeys(node.output, frozenset[int]() if node.op_type == "Shape" else given)
    if not layers:
        raise MalformedError("without convolutions")
    return layers


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The constant tensors of a graph by name."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found.update((node.output[0], each.t) for each in node.attribute if each.name == "value")
        elif node.op_type == "Identity" and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


def _array(tensor: onnx.TensorProto) -> NDArray[Any]:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise MalformedError(f"{tensor.name[:100]!r} is in another file; save the model as one file")
    return numpy_helper.to_array(tensor).astype(np.float64)


def _folded(
    weight: NDArray[Any], bias: NDArray[Any], norm: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The weight and bias of a convolution that also does what the batch norm behind it does."""
    scale, shift, mean, variance = (_array(constants[name]) for name in norm.input[1:5])
    eps = next((each.f for each in norm.attribute if each.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + eps)
    return weight * factor[:, None, None, None], (bias - mean) * factor + shift


def _tensor(values: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
