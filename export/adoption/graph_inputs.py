"""The inputs of an adopted graph, as the runtime fills them."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper

from ...deploy.inputs.geometry import Size
from ...deploy.system.errors import UsageError
from .foreign import Declared
from .nodes import FLOAT, Nodes
from .recipe import Recipe

_HELPER: Any = helper  # onnx is only partly typed.
_INPUTS = "inputs/"
_AS_IS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8)
"""The types of an image input that the runtime fills."""


def fill_inputs(
    graph: onnx.GraphProto,
    inputs: Sequence[onnx.ValueInfoProto],
    recipe: Recipe,
    image: Declared,
    canvas: Size | None,
    batch: int | None,
) -> str:
    """Declare the image input with its true sides, make constants of the others, and return its name.

    `inputs` are those of the network. They become values that the first nodes of the graph make.
    """
    first = onnx.GraphProto()
    nodes = Nodes(first, _INPUTS)
    shape = ["batch" if batch is None else batch, 3, *(canvas or ("height", "width"))]
    is_filled = image.dtype in _AS_IS
    given = image.name
    if recipe.input_layout == "nhwc" or not is_filled:
        given = f"{image.name}_nchw"
        value = given if is_filled else nodes("Cast", given, to=image.dtype)
        axes = [0, 2, 3, 1] if recipe.input_layout == "nhwc" else [0, 1, 2, 3]
        nodes("Transpose", value, output=image.name, perm=axes)
    dtype = image.dtype if is_filled else FLOAT
    graph.input.append(_HELPER.make_tensor_value_info(given, dtype, shape))
    for each in inputs:
        if each.name != image.name:
            row = np.array(constant_of(recipe, each.name, canvas), np.float64)
            value = nodes("Cast", nodes.floats(row[None]), to=each.type.tensor_type.elem_type)
            sides = nodes.joined([nodes.side(given, 0), nodes.whole([row.size])], 0)
            nodes("Expand", value, sides, output=each.name)
    first.node.extend(graph.node)
    del graph.node[:]
    graph.MergeFrom(first)
    return given


def constant_of(recipe: Recipe, name: str, canvas: Size | None) -> list[float]:
    """The value of an input that is no image. Raises UsageError if the recipe does not give it."""
    value = recipe.constants.get(name)
    if value is None:
        raise UsageError(f"the file's input {name} has no value; give one under [constants] in a file for --card")
    if isinstance(value, list):
        return [float(each) for each in cast(list[Any], value)]
    if canvas is None:
        raise UsageError(f"the file's input {name} is the size of the canvas; fix it with --imgsz")
    return [float(side) for side in (canvas if value == "hw" else canvas[::-1])]
