"""Builds the nodes that are attached to a foreign graph.

Only operators and forms of them are used that mean the same from opset 9 on, so that the file keeps its own opset.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper

_HELPER: Any = helper  # onnx is only partly typed.
_NUMPY: Any = numpy_helper
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


class Nodes:
    """Adds nodes and constants to the end of a graph. A value is the name of a tensor."""

    def __init__(self, graph: onnx.GraphProto, prefix: str) -> None:
        self._graph, self._prefix, self._count = graph, prefix, 0

    def __call__(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output and return its name."""
        name = output or self._name(op)
        self._graph.node.append(_HELPER.make_node(op, inputs, [name], name=f"{self._prefix}{name}", **attributes))
        return name

    def floats(self, values: ArrayLike) -> str:
        """A constant of floats."""
        return self._constant(np.asarray(values, np.float32))

    def whole(self, values: ArrayLike) -> str:
        """A constant of whole numbers."""
        return self._constant(np.asarray(values, np.int64))

    def reshaped(self, value: str, shape: Sequence[int]) -> str:
        """The value in another shape; 0 keeps a side, -1 stands for the rest."""
        return self("Reshape", value, self.whole(shape))

    def columns(self, value: str, indices: Sequence[int], axis: int = 2) -> str:
        """The values at these indices of an axis."""
        return self("Gather", value, self.whole(indices), axis=axis)

    def joined(self, values: Sequence[str], axis: int) -> str:
        """The values one after the other."""
        return values[0] if len(values) == 1 else self("Concat", *values, axis=axis)

    def side(self, value: str, axis: int) -> str:
        """The length (1,) of an axis."""
        return self("Gather", self("Shape", value), self.whole([axis]), axis=0)

    def _constant(self, values: NDArray[Any]) -> str:
        name = self._name("constant")
        self._graph.initializer.append(_NUMPY.from_array(values, name))
        return name

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{self._prefix}{what.lower()}_{self._count}"
