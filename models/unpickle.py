"""Read the weights of a PyTorch checkpoint (.pth) without running any code that it names.

Supports both formats: the zip archive of PyTorch 1.6 and later, and the older stream of pickles. A pickle is a program.
Here it may create only containers, strings, numbers and references to tensors. Everything else, such as the training
records in checkpoints of OpenMMLab 3.x, becomes an `Inert` object.
"""

import io
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import torch
from torch import Tensor

from .stored import Array, Inert, MalformedError, NumberType, Storage, StoredTensor
from .wrapped import find_weights

__all__ = ["MalformedError", "Unpickler", "read_pth"]

_ZIP = b"PK\x03\x04"
STREAM = pickle.dumps(0x1950A86A20F9469CFC6C, 2)  # the magic number of PyTorch's older format


def read_pth(path: Path) -> tuple[dict[str, Tensor], Any]:
    """The weights of a .pth file and its `meta`. Entries that are not tensors are skipped.

    Raises MalformedError, and OSError if the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(len(STREAM))
        try:
            if start.startswith(_ZIP):
                return _read_zip(file)
            if start == STREAM:
                return _read_stream(file)
        except (MalformedError, OSError):
            raise
        except Exception as error:  # A hostile file can raise any exception in the unpickler.
            raise MalformedError(f"damaged or cut short ({type(error).__name__})") from error
    raise MalformedError("not a PyTorch checkpoint" if start else "empty")


def _read_zip(file: BinaryIO) -> tuple[dict[str, Tensor], Any]:
    size = file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        if "constants.pkl" in entries:
            raise MalformedError("a TorchScript program, not a checkpoint")
        if "data.pkl" not in entries:
            raise MalformedError("a zip archive, but not from PyTorch")
        # PyTorch never compresses, so a file that unpacks to more than its size is malicious.
        stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        if not stored or sum(entry.file_size for entry in archive.infolist()) > size:
            raise MalformedError("its entries unpack to more than the file holds")
        if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
            raise MalformedError("in big-endian byte order")
        content = Unpickler(io.BytesIO(archive.read(entries["data.pkl"]))).load()
        return _pick(content, lambda storage: archive.read(entries[f"data/{storage.key}"]))


def _read_stream(file: BinaryIO) -> tuple[dict[str, Tensor], Any]:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    _, version, system = (Unpickler(file).load() for _ in range(3))
    if version != 1001 or system["little_endian"] is not True:
        raise MalformedError("of an unknown version or in big-endian byte order")
    unpickler = Unpickler(file)
    content = unpickler.load()
    starts: dict[str, int] = {}
    for key in Unpickler(file).load():
        (numel,) = struct.unpack("<q", file.read(8))
        starts[key] = file.tell()
        if numel != unpickler.storages[key].numel:
            raise MalformedError("damaged")
        if file.seek(unpickler.storages[key].nbytes, io.SEEK_CUR) > size:
            raise MalformedError("cut short")

    def read(storage: Storage) -> bytes:
        file.seek(starts[storage.key])
        return file.read(storage.nbytes)

    return _pick(content, read)


def _pick(content: Any, read: Callable[[Storage], bytes]) -> tuple[dict[str, Tensor], Any]:
    """The weights in the content, read from the file, and `meta`."""
    if not isinstance(content, dict):
        raise MalformedError("without weights; it holds something else, such as a whole model")
    values: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    for key, stored in find_weights(content).items():
        if type(key) is not str or not isinstance(stored, StoredTensor):
            continue
        storage = stored.storage
        if storage.numel and storage.key not in values:
            values[storage.key] = torch.frombuffer(bytearray(read(storage)), dtype=storage.dtype, count=storage.numel)
        source = values.get(storage.key, torch.empty(0, dtype=storage.dtype))
        weights[key] = source.as_strided(stored.size, stored.stride, stored.offset)
    return weights, content.get("meta")


def _mapping(pairs: Any = ()) -> dict[Any, Any]:
    """A dict of the pairs with simple keys, since hashing a deeply nested key would overflow the C stack."""
    return {key: value for key, value in pairs if type(key) in (str, int)}


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise MalformedError("a tensor has no data")
    return StoredTensor(storage, offset, tuple(size), tuple(stride))


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _array(*_: Any) -> Array:
    return Array()


def _scalar(kind: Any, data: Any = None) -> Any:
    """A NumPy number or string, as Python's."""
    values = _elements(kind, data)
    return values[0] if len(values) == 1 else Inert()


def _bytes(text: Any = "", encoding: Any = "latin1") -> bytes:
    """Bytes, as Python 3 pickles them for Python 2; without arguments, none."""
    return text.encode("latin1") if type(text) is str and encoding == "latin1" else b""


_FORMATS = {"f2": "e", "f4": "f", "f8": "d", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "b1": "?"}
"""The `struct` format of each type of number, by NumPy's code."""


def _values(state: Any) -> list[Any]:
    """The values in a NumPy array's state: version, shape, dtype, column order, data. Empty for unknown types."""
    _, shape, kind, by_column, data = state
    values = list(data) if type(data) is list else _elements(kind, data)  # a list has Python's own objects
    if len(shape) == 2 and not by_column and shape[0] * shape[1] == len(values):
        return [values[start : start + shape[1]] for start in range(0, len(values), max(1, shape[1]))]
    return values if len(shape) == 1 else []


def _elements(kind: Any, data: Any) -> list[Any]:
    """The numbers or strings in little-endian bytes of a NumPy dtype; empty for unknown types."""
    if not isinstance(kind, NumberType) or type(data) is not bytes:
        return []
    if kind.code in _FORMATS:
        return [value for (value,) in struct.iter_unpack(f"<{_FORMATS[kind.code]}", data)]
    if re.fullmatch("U[1-9][0-9]{0,4}", kind.code):
        step = 4 * int(kind.code[1:])
        return [data[start : start + step].decode("utf-32-le").rstrip("\0") for start in range(0, len(data), step)]
    return []


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy", "dtype"): NumberType,
    ("_codecs", "encode"): _bytes,
    ("__builtin__", "bytes"): _bytes,
    ("collections", "OrderedDict"): _mapping,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "DoubleStorage"): torch.float64,
    ("torch", "FloatStorage"): torch.float32,
    ("torch", "HalfStorage"): torch.float16,
    ("torch", "BFloat16Storage"): torch.bfloat16,
    ("torch", "LongStorage"): torch.int64,
    ("torch", "IntStorage"): torch.int32,
    ("torch", "ShortStorage"): torch.int16,
    ("torch", "CharStorage"): torch.int8,
    ("torch", "ByteStorage"): torch.uint8,
    ("torch", "BoolStorage"): torch.bool,
}
"""All callables that a pickle can reach. No others ever run."""

# The extension registry may hold anything, and buffers are allocated before their size is checked.
_REFUSED = (
    pickle.EXT1,
    pickle.EXT2,
    pickle.EXT4,
    pickle.BYTEARRAY8,
    pickle.NEXT_BUFFER,
    pickle.READONLY_BUFFER,
)


class Unpickler(pickle._Unpickler):
    """Python's unpickler, restricted to `_KNOWN` and unable to set attributes.

    The C implementation would set attributes, hash keys and size its memo as the file requests.
    """

    dispatch: ClassVar = {
        code: step for code, step in pickle._Unpickler.dispatch.items() if bytes([code]) not in _REFUSED
    }

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="latin1")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        return _KNOWN.get((module, name), Inert)

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":  # a class with its source, in the older format
            return Inert
        kind, dtype, key, _, numel, *view = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or any(item is not None for item in view):
            raise MalformedError("in a form that PyTorch no longer writes")
        if type(key) is not str or type(numel) is not int or not 0 <= numel < 2**48:
            raise MalformedError("damaged")
        return self.storages.setdefault(key, Storage(dtype, key, numel))

    def _build(self) -> None:
        """Set the values of arrays and the byte order of their types, and drop the state of other objects."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Array):
            target[:] = _values(state)
        elif isinstance(target, NumberType) and state[1] == ">":
            target.code = ""  # Big-endian values are not read.

    def _append(self) -> None:
        self._extend([self.stack.pop()])

    def _appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def _set_items(self) -> None:
        self._update(self.pop_mark())

    def _update(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update(_mapping(zip(items[::2], items[1::2], strict=True)))

    def _dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._update(items)

    def _empty_set(self) -> None:
        self.stack.append(Inert())

    def _add_items(self) -> None:
        self.pop_mark()

    def _frozen_set(self) -> None:
        self.pop_mark()
        self.stack.append(Inert())

    dispatch |= {
        pickle.BUILD[0]: _build,
        pickle.APPEND[0]: _append,
        pickle.APPENDS[0]: _appends,
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.DICT[0]: _dict,
        pickle.EMPTY_SET[0]: _empty_set,
        pickle.ADDITEMS[0]: _add_items,
        pickle.FROZENSET[0]: _frozen_set,
    }
