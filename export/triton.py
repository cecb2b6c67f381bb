"""Writes a model repository: the network, and a model that takes image files and answers with finished detections."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto

from ..deploy.card import Card
from ..deploy.system.errors import UsageError
from ..deploy.system.files import write_text

BATCH = 8
"""Images that Triton puts into one run at most."""
DELAY = 2000
"""Microseconds that an image waits for others."""
_TYPES: dict[int, tuple[str, str]] = {
    TensorProto.FLOAT: ("TYPE_FP32", "float32"),
    TensorProto.FLOAT16: ("TYPE_FP16", "float16"),
    TensorProto.INT64: ("TYPE_INT64", "int64"),
    TensorProto.INT32: ("TYPE_INT32", "int32"),
    TensorProto.UINT8: ("TYPE_UINT8", "uint8"),
}
"""The type of an ONNX tensor for Triton and for NumPy."""
_MODEL = """\
from detforge.deploy.triton import TritonPythonModel

__all__ = ["TritonPythonModel"]
"""
_DETECTIONS = """\
# An image file in, its detections as JSON in COCO's style out.
backend: "python"
max_batch_size: {batch}
input [ {{ name: "image", data_type: TYPE_STRING, dims: [ 1 ] }} ]
output [ {{ name: "detections", data_type: TYPE_STRING, dims: [ 1 ] }} ]
dynamic_batching {{ max_queue_delay_microseconds: {delay} }}
instance_group [ {{ count: 1, kind: KIND_CPU }} ]
"""


def check(card: Card) -> None:
    """Raise UsageError if a network needs more than images."""
    if card.form.runs_on != "images":
        raise UsageError(f"{card.model} needs more than an image; a Triton repository is for networks of whole images")


def write_repository(file: Path, card: Card, folder: Path) -> str:
    """Write the repository of a model file to a folder, and return the name of the model to ask.

    `NAME` decodes images, prepares them, asks `NAME_network`, and finishes its answer with the Card; it needs detforge
    in Triton's Python. Both batch requests. Raises UsageError if the network needs more than images.
    """
    check(card)
    name = file.stem
    network = f"{name}_network"
    graph = onnx.ModelProto.FromString(file.read_bytes()).graph
    batched = all(_shape(port)[0] is None for port in [*graph.input, *graph.output])
    write_text(folder / network / "config.pbtxt", _network_config(graph, card, batched))
    target = folder / network / "1" / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
    described = {
        "card": card.to_json(),
        "network": network,
        "inputs": [[port.name, _shape(port), _type(port)[1]] for port in graph.input],
        "outputs": [[port.name, _shape(port), _type(port)[1]] for port in graph.output],
    }
    write_text(folder / name / "1" / "network.json", json.dumps(described, indent=1))
    write_text(folder / name / "1" / "model.py", _MODEL)
    batch = BATCH if batched else 1
    write_text(folder / name / "config.pbtxt", _DETECTIONS.format(batch=batch, delay=DELAY))
    return name


def _network_config(graph: onnx.GraphProto, card: Card, batched: bool) -> str:
    lines = ['backend: "onnxruntime"', f"max_batch_size: {BATCH if batched else 0}"]
    for kind, ports in (("input", graph.input), ("output", graph.output)):
        lines += [f"{kind} [\n" + ",\n".join(_port(port, batched) for port in ports) + "\n]"]
    lines.append("instance_group [ { count: 1, kind: KIND_AUTO } ]")
    if batched:
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {DELAY} }}")
    if card.ops:
        lines.append('model_operations { op_library_filename: "libdetforge_ort.so" }')
    return "\n".join(lines) + "\n"


def _port(port: onnx.ValueInfoProto, batched: bool) -> str:
    dims = ", ".join(str(-1 if size is None else size) for size in _shape(port)[batched:])
    return f'  {{ name: "{port.name}", data_type: {_type(port)[0]}, dims: [ {dims} ] }}'


def _shape(port: onnx.ValueInfoProto) -> Sequence[int | None]:
    return [axis.dim_value if axis.HasField("dim_value") else None for axis in port.type.tensor_type.shape.dim]


def _type(port: onnx.ValueInfoProto) -> tuple[str, str]:
    return _TYPES[port.type.tensor_type.elem_type]
