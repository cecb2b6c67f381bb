"""The graph that is attached to a foreign file: its inputs as the runtime fills them, its outputs as the form reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import compose, helper, version_converter

from ...deploy.contract.port import Arrays
from ...deploy.forms import Dense, Graph
from ...deploy.inputs.geometry import Size
from ...deploy.system.errors import ExportError
from .foreign import Declared
from .graph_inputs import fill_inputs
from .graph_points import level_points
from .nodes import FLOAT, INT64, Nodes
from .recipe import Recipe
from .roles import roles_of, split_widths

_COMPOSE: Any = compose  # onnx is only partly typed.
_CONVERTER: Any = version_converter
_HELPER: Any = helper
_NETWORK, _DECODE = "network/", "decode/"
_OLDEST, _OLDEST_DYNAMIC = 9, 11
_IR_VERSION = 8


class Attached:
    """A copy of a foreign graph with the decoding of a recipe attached, for a canvas (h, w), or any size if None.

    `seen` are the file's outputs for one image; they tell ranks and widths. `batch` is None if it is free.
    """

    def __init__(
        self,
        proto: onnx.ModelProto,
        recipe: Recipe,
        image: Declared,
        seen: Arrays,
        canvas: Size | None,
        batch: int | None,
        opset: int,
    ) -> None:
        if opset < (_OLDEST_DYNAMIC if canvas is None else _OLDEST):
            proto = _newer(proto, opset)
        self._recipe, self._seen, self._canvas, self._batch = recipe, seen, canvas, batch
        self._roles = roles_of(recipe, list(seen))
        self.proto: onnx.ModelProto = _COMPOSE.add_prefix(proto, _NETWORK, rename_inputs=False)
        self.proto.ir_version = max(self.proto.ir_version, _IR_VERSION)
        inputs = list(self.proto.graph.input)
        del self.proto.graph.input[:], self.proto.graph.output[:], self.proto.graph.value_info[:]
        self.image_name = fill_inputs(self.proto.graph, inputs, recipe, image, canvas, batch)
        self._nodes = Nodes(self.proto.graph, _DECODE)
        if isinstance(recipe.form, Dense | Graph):
            parts = self._parts()
            self._dense(parts) if isinstance(recipe.form, Dense) else self._listed(parts)
        else:
            for role, [name] in self._roles.items():
                self._output(role, self._floats(name), seen[name].shape[1:])

    def _floats(self, name: str) -> str:
        """An output of the network as float32."""
        value = _NETWORK + name
        return value if self._seen[name].dtype == np.float32 else self._nodes("Cast", value, to=FLOAT)

    def _parts(self) -> dict[str, str]:
        """The values (n, a, width) of each part of the outputs, level after level."""
        parts: dict[str, str] = {}
        self._widths: dict[str, int] = {}
        for role, names in self._roles.items():
            if role == "unused":
                continue
            counts = {name: self._row_count(name, role) for name in names}
            ordered = sorted(names, key=lambda name: -counts[name])
            whole = self._nodes.joined([self._rows(name, role) for name in ordered], 1)
            width = self._width(names[0], role)
            if role != "rows":
                parts[role], self._widths[role] = whole, width
                continue
            for name, (start, end) in split_widths(self._recipe, width).items():
                parts[name] = self._nodes.columns(whole, range(start, end))
                self._widths[name] = end - start
        return parts

    def _axes(self, name: str, role: str) -> tuple[Sequence[int], int]:
        """The axes of rows of one output, and the axis of its values, -1 if each row has one."""
        rank, layout = self._seen[name].ndim, self._recipe.decode.layout_of(role)
        if role in ("label", "score") and rank < 3:
            return [rank - 1], -1
        if layout == "maps":
            return [2, 3], 1
        if layout == "maps_last":
            return [1, 2], 3
        return ([rank - 1], rank - 2) if layout == "columns" else ([1], 2) if rank > 2 else ([0], 1)

    def _row_count(self, name: str, role: str) -> int:
        shape = self._seen[name].shape
        return int(np.prod([shape[axis] for axis in self._axes(name, role)[0]]))

    def _width(self, name: str, role: str) -> int:
        rows, axis = self._axes(name, role)
        shape = self._seen[name].shape
        return 1 if axis < 0 else int(np.prod(shape[2:])) if len(shape) == 4 and list(rows) == [1] else shape[axis]

    def _rows(self, name: str, role: str) -> str:
        """An output as (n, rows, values)."""
        nodes, value, shape = self._nodes, self._floats(name), self._seen[name].shape
        rows, axis = self._axes(name, role)
        if axis < 0:
            return nodes.reshaped(value, [1, -1, 1] if len(shape) == 1 else [0, -1, 1])
        if len(shape) == 2:
            value = nodes.reshaped(value, [1, *shape] if axis == 0 else [1, -1, shape[1]])
            return nodes("Transpose", value, perm=[0, 2, 1]) if axis == 0 else value
        if len(shape) == 4:
            if axis == 1:
                return nodes("Transpose", nodes.reshaped(value, [0, 0, -1]), perm=[0, 2, 1])
            return nodes.reshaped(value, [0, -1, shape[3]] if len(rows) == 2 else [0, 0, shape[2] * shape[3]])
        return nodes("Transpose", value, perm=[0, 2, 1]) if axis == 1 else value

    def _dense(self, parts: dict[str, str]) -> None:
        nodes, code = self._nodes, self._recipe.decode
        points, strides, priors = level_points(self._nodes, self._recipe, self._canvas, self.image_name)
        boxes = self._boxes(parts, points, strides, priors)
        self._output("boxes", boxes, ("points", 4))
        scores = parts["cls"]
        if code.scores != "probabilities":
            scores = nodes("Sigmoid", scores) if code.scores == "logits" else nodes("Softmax", scores, axis=2)
        classes = self._widths["cls"]
        if code.peaks:
            scores = self._peaks(scores, classes)
        self._output("scores", scores, ("points", classes))
        if "obj" in parts:
            self._output("quality", nodes.reshaped(parts["obj"], [0, -1]), ("points",))
        if "corners" in parts:
            self._output("keypoints", self._corners(parts, points, strides), ("points", 8))
        if "keypoints" in parts:
            self._keypoints(parts["keypoints"], boxes, points, strides, priors)

    def _peaks(self, scores: str, classes: int) -> str:
        """The scores (n, a, c) with 0 where a neighbour's is larger."""
        nodes, [name] = self._nodes, self._roles["cls"]
        # The network's own maps give the height and width.
        sides = [nodes.whole([0, classes]), *(nodes.side(self._floats(name), axis) for axis in (2, 3))]
        maps = nodes("Reshape", nodes("Transpose", scores, perm=[0, 2, 1]), nodes.joined(sides, 0))
        largest = nodes("MaxPool", maps, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1])
        is_peak = nodes("Cast", nodes("Not", nodes("Less", maps, largest)), to=FLOAT)
        flat = nodes.reshaped(nodes("Mul", maps, is_peak), [0, classes, -1])
        return nodes("Transpose", flat, perm=[0, 2, 1])

    def _corners(self, parts: dict[str, str], points: str, strides: str) -> str:
        """Four corners x, y of each cell (n, a, 8)."""
        nodes = self._nodes
        centre = nodes.columns(nodes("Add", parts["offset"], points), [0, 1] * 4)
        return nodes("Mul", nodes("Sub", centre, parts["corners"]), strides)

    def _keypoints(self, value: str, boxes: str | None, points: str, strides: str, priors: str) -> None:
        """Places (n, a, 2k) in px, and their scores (n, a, k) if the file has them."""
        nodes, code, width = self._nodes, self._recipe.decode, self._widths["keypoints"]
        count = width // (3 if code.keypoint_scores else 2)
        rows = "points" if isinstance(self._recipe.form, Dense) else "rows"
        if code.keypoint_scores:
            self._output("keypoint_scores", nodes.columns(value, range(2, width, 3)), (rows, count))
            value = nodes.columns(value, [i for i in range(width) if i % 3 < 2])
        if code.keypoints == "box_yx" and boxes is not None:
            value = nodes.columns(value, [i ^ 1 for i in range(2 * count)])
            low, high = nodes.columns(boxes, [0, 1] * count), nodes.columns(boxes, [2, 3] * count)
            value = nodes("Add", low, nodes("Mul", value, nodes("Sub", high, low)))
        elif code.keypoints == "point":
            each = nodes.columns(points, [0, 1] * count, axis=1)
            value = nodes("Mul", nodes("Add", value, each), strides)
        elif code.keypoints == "prior":
            each = nodes.columns(nodes("Mul", points, strides), [0, 1] * count, axis=1)
            sides = nodes.columns(priors, [0, 1] * count, axis=1)
            value = nodes("Add", each, nodes("Mul", nodes("Mul", value, nodes.floats(code.variances[0])), sides))
        self._output("keypoints", value, (rows, 2 * count))

    def _boxes(self, parts: dict[str, str], points: str, strides: str, priors: str) -> str:
        """Boxes (n, a, 4) xyxy px."""
        nodes, code = self._nodes, self._recipe.decode
        here = nodes("Mul", points, strides)
        if code.box == "centre_size":
            size = nodes("Mul", nodes("Exp", nodes.columns(parts["size"], [1, 0])), strides)
            centre = nodes("Add", here, nodes("Mul", nodes.columns(parts["offset"], [1, 0]), strides))
            return self._around(centre, size)
        if code.box == "corners":
            corners = self._corners(parts, points, strides)
            axes = [[nodes.columns(corners, [i]) for i in range(first, 8, 2)] for first in (0, 1)]
            bounds = [nodes(op, *values) for op in ("Min", "Max") for values in axes]
            return nodes.joined(bounds, 2)
        raw = parts["box"]
        if code.box == "distribution":
            bins = nodes("Softmax", nodes.reshaped(raw, [0, -1, 4, code.bins]), axis=3)
            mean = nodes("MatMul", bins, nodes.floats(np.arange(code.bins)[:, None]))
            raw = nodes.reshaped(mean, [0, -1, 4])
        if code.box in ("distances", "distribution"):
            raw = nodes("Mul", raw, strides)
        first, last = nodes.columns(raw, [0, 1]), nodes.columns(raw, [2, 3])
        if code.box in ("distances", "distances_px", "distribution"):
            return nodes("Concat", nodes("Sub", here, first), nodes("Add", here, last), axis=2)
        if code.box == "offset_exp":
            centre = nodes("Add", here, nodes("Mul", first, strides))
            return self._around(centre, nodes("Mul", nodes("Exp", last), strides))
        if code.box == "priors":
            near, far = (nodes.floats(variance) for variance in code.variances)
            centre = nodes("Add", here, nodes("Mul", nodes("Mul", first, near), priors))
            return self._around(centre, nodes("Mul", nodes("Exp", nodes("Mul", last, far)), priors))
        if code.relative:
            sides = self._canvas_sides()
            first, last = nodes("Mul", first, sides), nodes("Mul", last, sides)
        return nodes("Concat", first, last, axis=2) if code.box == "xyxy" else self._around(first, last)

    def _around(self, centre: str, size: str) -> str:
        half = self._nodes("Mul", size, self._nodes.floats(0.5))
        return self._nodes("Concat", self._nodes("Sub", centre, half), self._nodes("Add", centre, half), axis=2)

    def _canvas_sides(self) -> str:
        """The width and height (2,) of the canvas."""
        if self._canvas is not None:
            return self._nodes.floats(self._canvas[::-1])
        nodes = self._nodes
        return nodes("Cast", nodes.joined([nodes.side(self.image_name, axis) for axis in (3, 2)], 0), to=FLOAT)

    def _listed(self, parts: dict[str, str]) -> None:
        """Detections that the file has selected itself."""
        nodes = self._nodes
        points, strides, priors = level_points(self._nodes, self._recipe, self._canvas, self.image_name)
        boxes = self._boxes(parts, points, strides, priors)
        self._output("boxes", boxes, ("rows", 4))
        scores = nodes.reshaped(parts["score"], [0, -1])
        if "label" not in parts:
            parts["label"] = nodes("Mul", parts["score"], nodes.floats(0))
        labels = nodes("Relu", nodes.reshaped(parts["label"], [0, -1]))  # padding may have -1
        self._output("scores", scores, ("rows",))
        self._output("labels", nodes("Cast", labels, to=INT64), ("rows",), INT64)
        self._output("num", nodes("Expand", nodes.side(scores, 1), nodes.side(scores, 0)), (), INT64)
        if "keypoints" in parts:
            self._keypoints(parts["keypoints"], boxes, points, strides, priors)

    def _output(self, name: str, value: str, shape: Sequence[int | str], dtype: int = FLOAT) -> None:
        """Make a value an output of the file; `shape` is without the batch."""
        self._nodes("Identity", value, output=name)
        batch = "batch" if self._batch is None else self._batch
        self.proto.graph.output.append(_HELPER.make_tensor_value_info(name, dtype, [batch, *shape]))


def _newer(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The file in the oldest opset that the attached nodes need."""
    try:
        return _CONVERTER.convert_version(proto, _OLDEST_DYNAMIC)
    except Exception as error:  # the converter raises several types
        raise ExportError(
            f"the file's opset {opset} is too old and cannot be converted; export it again with opset "
            f"{_OLDEST_DYNAMIC} or newer, or fix its size with --imgsz"
        ) from error
