"""Reads and writes the metadata of an ONNX file without parsing its graph."""

import mmap
from pathlib import Path

from ..system.errors import IncompatibleError, InputError
from .protobuf import BYTES, as_bytes, encode, fields, text

_METADATA = 14


def metadata_of(model: bytes | memoryview) -> dict[str, str]:
    """The metadata as a dict. Raises ValueError if the bytes are no model."""
    return {text(entry, 1): text(entry, 2) for n, _, entry in fields(model) if n == _METADATA}


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a file. Raises InputError if it cannot be read, IncompatibleError if it is no ONNX file."""
    try:
        with path.open("rb") as file:
            return metadata_of(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except OSError as error:
        raise InputError(f"{path}: no such model file; {error.strerror}; export one with detexport") from error
    except ValueError as error:
        raise IncompatibleError(f"{path}: not an ONNX file; {error}; export it again with detexport") from error


def with_metadata(model: bytes, key: str, value: str) -> bytes:
    """The model with one metadata entry set. Raises ValueError if the bytes are no model."""
    parts = [encode(n, kind, v) for n, kind, v in fields(model) if n != _METADATA or text(as_bytes(v), 1) != key]
    entry = encode(1, BYTES, key.encode()) + encode(2, BYTES, value.encode())
    return b"".join((*parts, encode(_METADATA, BYTES, entry)))
