"""What an engine needs to know of an ONNX file, read without the package onnx. Numbers of fields are onnx.proto's."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..contract.port import Port
from ..model_file.metadata import metadata_of
from ..model_file.protobuf import Value, as_bytes, fields, text, texts
from ..system.errors import IncompatibleError, InputError
from .runtime import sha256

_DOMAIN = "detforge"
_CODES = ("QuantizeLinear", "DequantizeLinear")
_CPU_TYPES = (2, 6)  # UINT8 and INT32 of TensorProto


@dataclass(frozen=True)
class OnnxFile:
    """Inputs, the texts in its metadata, how many nodes of each of our operators, and the digest of the whole.

    `for_cpu` says that it has codes which only ONNX Runtime takes: unsigned ones, or biases in 32 bits. `plugins_only`
    has the operators whose functions TensorRT's parser misreads: it knows functions by name alone, and so takes a
    standard node in them for a function of that name.
    """

    inputs: tuple[Port, ...]
    metadata: dict[str, str]
    operators: Counter[str]
    sha256: str
    for_cpu: bool
    plugins_only: tuple[str, ...]


def read_onnx(path: Path) -> OnnxFile:
    """Read an ONNX file; InputError where there is none, IncompatibleError where it is not one."""
    if not path.is_file():
        raise InputError(f"{path}: no such model file; export one with detexport")
    try:
        model = path.read_bytes()
        graph = [field for value in _all(model, 7) for field in fields(as_bytes(value))]
        initial = {text(value, 8): _all(value, 2) for number, _, value in graph if number == 5}
        inputs = [_port(value) for number, _, value in graph if number == 11]
        nodes = [value for number, _, value in graph if number == 1]
        operators = Counter(text(node, 4) for node in nodes if text(node, 7) == _DOMAIN)
        codes = [name for node in nodes if text(node, 4) in _CODES for name in texts(node, 1)]
        for_cpu = any(kind in _CPU_TYPES for name in codes for kind in initial.get(name, []))
        functions = {text(value, 1): _all(value, 7) for value in _all(model, 25)}
        plugins_only = tuple(
            name
            for name, body in functions.items()
            if any(text(node, 4) in functions and text(node, 7) != _DOMAIN for node in body)
        )
        metadata = metadata_of(model)
    except ValueError as error:
        raise IncompatibleError(f"{path}: not an ONNX file; {error}; export it again with detexport") from error
    if not inputs:
        raise IncompatibleError(f"{path}: an ONNX file without inputs; export it again with detexport")
    free = tuple(port for port in inputs if port.name not in initial)
    return OnnxFile(free, metadata, operators, sha256(path), for_cpu, plugins_only)


def _port(value: Value) -> Port:
    """A ValueInfoProto: name = 1, type = 2 > tensor_type = 1 > shape = 2 > dim = 1 > dim_value = 1."""
    dims = [value]
    for number in (2, 1, 2, 1):
        dims = [inner for outer in dims for inner in _all(outer, number)]
    shape = [next((size for size in _all(dim, 1) if isinstance(size, int)), None) for dim in dims]
    return Port(text(value, 1), tuple(shape))


def _all(message: Value, wanted: int) -> list[Value]:
    return [value for number, _, value in fields(as_bytes(message)) if number == wanted]
