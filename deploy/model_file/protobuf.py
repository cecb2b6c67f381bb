"""A minimal reader and writer of protobuf messages, because deploy/ does not import onnx."""

from collections.abc import Iterator

Value = int | bytes | memoryview
"""The value of a field: a whole number, or bytes, which may be a nested message."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""


def fields(message: bytes | memoryview) -> Iterator[tuple[int, int, Value]]:
    """The number, wire type and value of each field in order. Raises ValueError if the bytes are no message."""
    view, at = memoryview(message), 0
    while at < len(view):
        key, at = _read_varint(view, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _read_varint(view, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, at = _read_varint(view, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"field {number} has the unknown wire type {kind}")
        if at + size > len(view):
            raise ValueError("it ends within a field")
        yield number, kind, view[at : at + size]
        at += size


def texts(message: Value, number: int) -> list[str]:
    """The texts of all fields with this number."""
    return [str(as_bytes(value), "utf-8") for n, _, value in fields(as_bytes(message)) if n == number]


def text(message: Value, number: int) -> str:
    """The text of the first field with this number; "" without one."""
    return next(iter(texts(message, number)), "")


def as_bytes(value: Value) -> bytes | memoryview:
    """The value if it is bytes. Raises ValueError for a number."""
    if isinstance(value, int):
        raise ValueError("a field has the wrong type")
    return value


def encode(number: int, kind: int, value: Value) -> bytes:
    """A field encoded as bytes."""
    head = _varint(number << 3 | kind)
    if isinstance(value, int):
        return head + _varint(value)
    return b"".join((head, _varint(len(value)) if kind == BYTES else b"", value))


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(view) and shift < 70:
        byte = view[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at
    raise ValueError("it ends within a number")


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
