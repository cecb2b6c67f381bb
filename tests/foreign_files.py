"""ONNX files as other programs write them: their outputs are stored values, whatever the image."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ADOPTED = Path(__file__).parent / "golden" / "adopted"


def write_foreign(
    path: Path,
    outputs: dict[str, NDArray[Any]],
    *,
    image: str = "images",
    shape: tuple[int | str, ...] = (1, 3, 64, 96),
    dtype: int = TensorProto.FLOAT,
    further: dict[str, int] | None = None,
    metadata: dict[str, str] | None = None,
    opset: int = 11,
) -> Path:
    """A file whose outputs have the stored values, plus 0 times the image and its further inputs (name: width)."""
    inputs = [helper.make_tensor_value_info(image, dtype, shape)]
    nodes = [
        helper.make_node("Cast", [image], ["quality"], to=TensorProto.FLOAT),  # a name that the runtime's outputs have
        helper.make_node("ReduceMean", ["quality"], ["mean_0"], keepdims=0),
        helper.make_node("Mul", ["mean_0", "zero"], ["nothing_0"]),
    ]
    last = "nothing_0"
    for i, (name, width) in enumerate((further or {}).items(), 1):
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width]))
        nodes += [
            helper.make_node("ReduceMean", [name], [f"mean_{i}"], keepdims=0),
            helper.make_node("Mul", [f"mean_{i}", "zero"], [f"part_{i}"]),
            helper.make_node("Add", [last, f"part_{i}"], [f"nothing_{i}"]),
        ]
        last = f"nothing_{i}"
    stored = [numpy_helper.from_array(np.zeros((), np.float32), "zero")]
    infos: list[Any] = []
    for i, (name, values) in enumerate(outputs.items()):
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        stored.append(numpy_helper.from_array(values.astype(np.float32), f"stored_{i}"))
        nodes.append(helper.make_node("Add", [f"stored_{i}", last], [f"sum_{i}"]))
        nodes.append(helper.make_node("Cast", [f"sum_{i}"], [name], to=kind))
        infos.append(helper.make_tensor_value_info(name, kind, values.shape))
    graph = helper.make_graph(nodes, "foreign", inputs, infos, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, str(path))
    return path


class Recorded:
    """What a real file gave for a photograph, and what its owner's program found in it (tests/golden/README.md)."""

    def __init__(self, name: str) -> None:
        stored = np.load(ADOPTED / f"{name}.npz")
        height, width = stored["image"].tolist()
        self.image = np.zeros((height, width, 3), np.uint8)
        self.canvas: tuple[int, int] = tuple(stored["canvas"].tolist())
        self.boxes, self.scores, self.labels = (stored[key] for key in ("boxes", "box_scores", "box_labels"))
        self.keypoints = stored.get("keypoints")
        self.outputs: dict[str, NDArray[Any]] = {}
        for output in stored["outputs"].tolist():
            values = stored[f"{output}/values"]
            whole = np.zeros(stored[f"{output}/shape"], values.dtype)
            whole.reshape(-1, whole.shape[-1])[stored[f"{output}/rows"]] = values
            self.outputs[output] = whole

    def write(self, path: Path, **more: Any) -> Path:
        """A file with the recorded outputs."""
        return write_foreign(path, self.outputs, shape=(1, 3, *self.canvas), **more)
