"""Inlines the functions of an ONNX model, for runtimes that do not support functions.

Nothing else in the file changes, whatever its ONNX version. The field numbers are those of onnx.proto.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .protobuf import BYTES, Value, as_bytes, encode, fields, text, texts

_GRAPH, _FUNCTIONS = 7, 25
_NODES, _INITIALIZERS, _GRAPH_INPUTS, _GRAPH_OUTPUTS, _VALUES = 1, 5, 11, 12, 13
_INPUT, _OUTPUT, _NODE_NAME, _OP, _ATTRIBUTE, _DOMAIN = 1, 2, 3, 4, 5, 7
_SUBGRAPH, _SUBGRAPHS, _REFERENCE = 6, 11, 21
_TENSOR_NAME = 8


@dataclass(frozen=True)
class _Function:
    inputs: list[str]
    outputs: list[str]
    nodes: list[bytes]
    defaults: dict[str, bytes]


def inline_functions(model: bytes) -> bytes:
    """The ONNX model with its functions inlined. Raises ValueError if the bytes are no model."""
    whole = list(fields(model))
    functions = {_key(f, name=1, domain=10): _function(f) for n, _, f in whole if n == _FUNCTIONS}
    if not functions:
        return model
    kept = [field for field in whole if field[0] != _FUNCTIONS]
    return b"".join(
        encode(n, kind, _graph(as_bytes(value), functions)) if n == _GRAPH else encode(n, kind, value)
        for n, kind, value in kept
    )


def port_names(model: bytes) -> tuple[list[str], list[str]]:
    """The names of an ONNX model's inputs and outputs. Raises ValueError if the bytes are no model."""
    [graph] = (list(fields(as_bytes(value))) for n, _, value in fields(model) if n == _GRAPH)
    inputs, outputs = (
        [text(value, 1) for n, _, value in graph if n == part] for part in (_GRAPH_INPUTS, _GRAPH_OUTPUTS)
    )
    return inputs, outputs


def _graph(graph: bytes | memoryview, functions: dict[tuple[str, str], _Function]) -> bytes:
    parts: list[bytes] = []
    for number, kind, value in fields(graph):
        if number == _NODES:
            parts += [encode(_NODES, BYTES, node) for node in _expand(as_bytes(value), functions, "")]
        else:
            parts.append(encode(number, kind, value))
    return b"".join(parts)


def _expand(
    node: bytes | memoryview, functions: dict[tuple[str, str], _Function], path: str
) -> Iterator[bytes | memoryview]:
    """The node, or the nodes of the function that it calls. Inner names are prefixed with the node's first output."""
    function = functions.get(_key(node, name=_OP, domain=_DOMAIN))
    if function is None:
        yield node
        return
    inputs, outputs = texts(node, _INPUT), texts(node, _OUTPUT)
    path = f"{path}{next(filter(None, outputs), '')}/"
    names = dict.fromkeys(function.inputs, "")  # inputs that the node leaves out stay empty
    names |= dict(zip(function.inputs, inputs, strict=False))
    names |= {inner: outer for inner, outer in zip(function.outputs, outputs, strict=False) if outer}
    given = function.defaults | {text(a, 1): bytes(as_bytes(a)) for n, _, a in fields(node) if n == _ATTRIBUTE}
    for inner in function.nodes:
        yield from _expand(_renamed_node(inner, names, path, given), functions, path)


def _renamed_node(
    node: bytes | memoryview, names: dict[str, str], path: str, given: dict[str, bytes] | None = None
) -> bytes:
    """A node of a function with the caller's names and attributes."""
    parts: list[bytes] = []
    for number, kind, value in fields(node):
        if number in (_INPUT, _OUTPUT, _NODE_NAME):
            name = str(as_bytes(value), "utf-8")
            parts.append(encode(number, kind, (names.get(name, path + name) if name else name).encode()))
        elif number == _ATTRIBUTE:
            parts += [encode(number, kind, own) for own in _attribute(as_bytes(value), names, path, given)]
        else:
            parts.append(encode(number, kind, value))
    return b"".join(parts)


def _attribute(
    attribute: bytes | memoryview, names: dict[str, str], path: str, given: dict[str, bytes] | None
) -> Iterator[bytes]:
    """An attribute of a function's node. A reference becomes the caller's attribute, or is dropped without one."""
    if reference := text(attribute, _REFERENCE):
        source = (given or {}).get(reference)
        if source is not None:
            rest = b"".join(encode(*field) for field in fields(source) if field[0] != 1)
            yield encode(1, BYTES, text(attribute, 1).encode()) + rest
        return
    yield b"".join(
        encode(n, kind, _renamed_graph(as_bytes(value), names, path, given))
        if n in (_SUBGRAPH, _SUBGRAPHS)
        else encode(n, kind, value)
        for n, kind, value in fields(attribute)
    )


def _renamed_graph(
    graph: bytes | memoryview, names: dict[str, str], path: str, given: dict[str, bytes] | None
) -> bytes:
    """The subgraph of a loop or branch in a function, with the caller's names."""
    parts: list[bytes] = []
    for number, kind, value in fields(graph):
        new = value
        if number == _NODES:
            new = _renamed_node(as_bytes(value), names, path, given)
        elif number in (_INITIALIZERS, _GRAPH_INPUTS, _GRAPH_OUTPUTS, _VALUES):
            place = _TENSOR_NAME if number == _INITIALIZERS else 1
            name = text(value, place)
            rest = b"".join(encode(*field) for field in fields(as_bytes(value)) if field[0] != place)
            new = rest + encode(place, BYTES, names.get(name, path + name).encode())
        parts.append(encode(number, kind, new))
    return b"".join(parts)


def _function(function: Value) -> _Function:
    nodes = [bytes(as_bytes(value)) for n, _, value in fields(as_bytes(function)) if n == 7]
    defaults = {text(a, 1): bytes(as_bytes(a)) for n, _, a in fields(as_bytes(function)) if n == 11}
    return _Function(texts(function, 4), texts(function, 5), nodes, defaults)


def _key(message: Value, *, name: int, domain: int) -> tuple[str, str]:
    return text(message, domain), text(message, name)
