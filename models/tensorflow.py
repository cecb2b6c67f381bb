"""The weights in TensorFlow's checkpoints, read without TensorFlow: an index, and files of raw values.

The index is a sorted table of strings as in LevelDB; each entry is a protocol buffer, BundleEntryProto of
tensorflow/core/protobuf/tensor_bundle.proto.
"""

import re
import struct
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .stored import MalformedError

_FILES = re.compile(r"\.(?:index|meta|data-\d{5}-of-\d{5})$")
_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER = 48
_DTYPES = {1: "<f4", 2: "<f8", 19: "<f2"}
_FIXED_SIZES = {1: 8, 5: 4}  # bytes, by the kind of a protocol buffer's field
_LARGEST_INDEX, _LONGEST_NAME, _MOST_AXES, _MOST_SHARDS = 1 << 22, 512, 8, 10_000
_PARTS = {"weights": "weight", "biases": "bias", "gamma": "weight", "beta": "bias"}
_PARTS |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
_Fields = dict[int, list[int | bytes]]


def index_of(path: Path) -> Path | None:
    """The index of the checkpoint that a path names: the index, the files beside it, or what all names begin with."""
    if ".ckpt" not in path.name:
        return None
    index = path.with_name(_FILES.sub("", path.name) + ".index")
    return index if index.is_file() else None


def read_tensorflow(index: Path) -> dict[str, Tensor]:
    """The weights by name, with the axes and the names of parameters that PyTorch has; layers keep theirs, with dots.

    Layers are TF-Slim's: "block/conv/BatchNorm/gamma" becomes "block.conv.bn.weight". Variables of other names, such as
    the optimiser's, are left out. Raises MalformedError if a file is damaged, OSError if one cannot be read.
    """
    if index.stat().st_size > _LARGEST_INDEX:
        raise MalformedError("its index is too large for that of a network")
    entries = _entries(index.read_bytes())
    header = _fields(next((value for key, value in entries if key == b""), b""))
    shards = _number(header, 1)
    if not 1 <= shards <= _MOST_SHARDS or _number(header, 2) != 0:
        raise MalformedError("its index has no header, or that of a big-endian machine")
    files = [index.with_name(f"{index.stem}.data-{shard:05}-of-{shards:05}") for shard in range(shards)]
    if missing := [file.name for file in files if not file.is_file()]:
        raise MalformedError(f"{missing[0]} is missing beside it")
    room = sum(file.stat().st_size for file in files)
    state: dict[str, Tensor] = {}
    for key, value in entries:
        *layer, part = key.decode(errors="replace").replace("BatchNorm", "bn").split("/")
        if layer and part in _PARTS:
            tensor = _tensor(_fields(value), files)
            state[".".join((*layer, _PARTS[part]))] = tensor
            room -= tensor.nbytes
            if room < 0:
                raise MalformedError("damaged: its variables overlap")
    return state


def _tensor(entry: _Fields, files: Sequence[Path]) -> Tensor:
    dtype = np.dtype(_DTYPES.get(_number(entry, 1), "V0"))
    if dtype.itemsize == 0 or 7 in entry:
        raise MalformedError("a variable is no array of floats, or is saved in slices")
    shape = [_number(_fields(axis), 1) for axis in _fields(entry.get(2, [b""])[-1]).get(2, ())]
    shard, offset, size = (_number(entry, field) for field in (3, 4, 5))
    if shard >= len(files) or len(shape) > _MOST_AXES or size == 0 or size != prod(shape) * dtype.itemsize:
        raise MalformedError("damaged: a variable has an impossible shape or file")
    if offset + size > files[shard].stat().st_size:
        raise MalformedError(f"damaged: {files[shard].name} ends too early")
    value = np.fromfile(files[shard], dtype, prod(shape), offset=offset).reshape(shape)
    if value.ndim == 4:  # height, width, input, output; of a transposed convolution output, input
        value = value.transpose(3, 2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(value))


def _entries(data: bytes) -> list[tuple[bytes, bytes]]:
    """The keys and values of a table, block by block."""
    if len(data) < _FOOTER or not data.endswith(_MAGIC):
        raise MalformedError("no index of a TensorFlow checkpoint, or cut short")
    end = len(data) - _FOOTER
    _, after = _handle(data, end)  # of the table of further facts, which is empty
    place, _ = _handle(data, after)
    places = [_handle(value, 0)[0] for _, value in _block(data, place, end)]
    if sum(size for _, size in places) > len(data):
        raise MalformedError("damaged: its blocks overlap")
    return [entry for place in places for entry in _block(data, place, end)]


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """The start and the size of a block, and the place behind them."""
    start, at = _varint(data, at, len(data))
    size, at = _varint(data, at, len(data))
    return (start, size), at


def _block(data: bytes, place: tuple[int, int], end: int) -> list[tuple[bytes, bytes]]:
    """The keys and values of a block, which lies before `end`."""
    start, size = place
    if start + size >= end or size < 4:
        raise MalformedError("damaged: a block is beyond the end")
    if data[start + size] != 0:
        raise MalformedError("its index is compressed; save it again")
    restarts = struct.unpack_from("<I", data, start + size - 4)[0]
    at, stop = start, start + size - 4 - 4 * restarts
    found: list[tuple[bytes, bytes]] = []
    key = b""
    while at < stop:
        shared, at = _varint(data, at, stop)
        own, at = _varint(data, at, stop)
        length, at = _varint(data, at, stop)
        if shared > len(key) or shared + own > _LONGEST_NAME or at + own + length > stop:
            raise MalformedError("damaged: an entry is beyond its block")
        key = key[:shared] + data[at : at + own]
        found.append((key, data[at + own : at + own + length]))
        at += own + length
    return found


def _fields(message: int | bytes) -> _Fields:
    """The values of a protocol buffer by the number of their field."""
    data = message if isinstance(message, bytes) else b""
    found: _Fields = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at, len(data))
        kind = tag & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(data, at, len(data))
        else:
            size, at = _varint(data, at, len(data)) if kind == 2 else (_FIXED_SIZES.get(kind), at)
            if size is None or at + size > len(data):
                raise MalformedError("damaged: an entry of the index is no protocol buffer")
            value, at = data[at : at + size], at + size
        found.setdefault(tag >> 3, []).append(value)
    return found


def _number(fields: _Fields, field: int) -> int:
    """A whole number, which is 0 if it is absent."""
    value = fields.get(field, [0])[-1]
    return value if isinstance(value, int) else 0


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of seven bits per byte, and the place behind it."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= end:
            raise MalformedError("damaged: it ends too early")
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise MalformedError("damaged: a number is too long")
