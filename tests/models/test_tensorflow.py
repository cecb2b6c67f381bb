"""TensorFlow's checkpoints: one that TensorFlow wrote, ones made by the format's definition, and damaged ones."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detforge.deploy.system.errors import InputError
from detforge.models.checkpoint import read_checkpoint

Floats = NDArray[np.float32]
VARIABLES = {
    "resnet_v1_50/conv1/weights": (3, 3, 4, 5),
    "resnet_v1_50/conv1/BatchNorm/gamma": (5,),
    "resnet_v1_50/conv1/BatchNorm/beta": (5,),
    "resnet_v1_50/conv1/BatchNorm/moving_mean": (5,),
    "resnet_v1_50/conv1/BatchNorm/moving_variance": (5,),
    "out/weights": (1, 1, 5, 2),
    "out/biases": (2,),
}
NAMES = {
    "resnet_v1_50.conv1.weight": "resnet_v1_50/conv1/weights",
    "resnet_v1_50.conv1.bn.weight": "resnet_v1_50/conv1/BatchNorm/gamma",
    "resnet_v1_50.conv1.bn.bias": "resnet_v1_50/conv1/BatchNorm/beta",
    "resnet_v1_50.conv1.bn.running_mean": "resnet_v1_50/conv1/BatchNorm/moving_mean",
    "resnet_v1_50.conv1.bn.running_var": "resnet_v1_50/conv1/BatchNorm/moving_variance",
    "out.weight": "out/weights",
    "out.bias": "out/biases",
}


def values() -> dict[str, Floats]:
    """The variables, filled with eighths from 0 on, one after the other."""
    arrays, start = {}, 0
    for name, shape in VARIABLES.items():
        count = int(np.prod(shape))
        arrays[name] = (np.arange(start, start + count, dtype=np.float32) / 8).reshape(shape)
        start += count
    return arrays


def varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries: Mapping[bytes, bytes], kind: int = 0) -> bytes:
    """A block in which keys share what they begin with, its restart at 0, its kind and a checksum that is not read."""
    body, last = b"", b""
    for key, value in entries.items():
        shared = next((i for i, (a, b) in enumerate(zip(key, last, strict=False)) if a != b), min(len(key), len(last)))
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return body + struct.pack("<II", 0, 1) + bytes([kind]) + bytes(4)


def write(path: Path, arrays: Mapping[str, Floats], kind: int = 0, **changed: int) -> Path:
    """Write a checkpoint of one shard, with two blocks of entries. `changed` are fields of the first variable."""
    entries, raw = {b"": field(1, 1) + field(3, field(1, 1))}, b""
    for name, array in sorted(arrays.items()):
        shape = b"".join(field(2, field(1, side)) for side in array.shape)
        own = {"dtype": 1, "shard": 0, "offset": len(raw), "size": array.nbytes} | (changed if not raw else {})
        head = field(1, own["dtype"]) + field(2, shape) + field(3, own["shard"])
        entries[name.encode()] = head + field(4, own["offset"]) + field(5, own["size"]) + b"\x35" + bytes(4)
        raw += array.tobytes()
    table, handles, keys = b"", {}, list(entries)
    for part in (keys[:3], keys[3:]):
        made = block({key: entries[key] for key in part}, kind)
        handles[part[-1]] = varint(len(table)) + varint(len(made) - 5)
        table += made
    footer = b""
    for made in (block({}), block(handles)):
        footer += varint(len(table)) + varint(len(made) - 5)
        table += made
    index = path.with_name(path.name + ".index")
    index.write_bytes(table + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57))
    path.with_name(path.name + ".data-00000-of-00001").write_bytes(raw)
    return index


def in_pytorch(array: Floats) -> Floats:
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array


def check(path: Path) -> None:
    state, arrays = read_checkpoint(path).state, values()
    assert state.keys() == NAMES.keys()
    for name, theirs in NAMES.items():
        np.testing.assert_array_equal(state[name].numpy(), in_pytorch(arrays[theirs]))


GOLDEN = Path(__file__).parent.parent / "golden" / "tensorflow.ckpt"


@pytest.mark.parametrize("end", ["", ".index", ".data-00000-of-00001"])
def test_a_file_of_tensorflow(end: str) -> None:
    check(GOLDEN.with_name(GOLDEN.name + end))


def test_variables_by_the_definition(tmp_path: Path) -> None:
    write(tmp_path / "a.ckpt-7", values() | {"out/weights/Momentum": np.zeros(3, np.float32)})
    check(tmp_path / "a.ckpt-7")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": 1}, "compressed"),
        ({"dtype": 7}, "no array of floats"),
        ({"shard": 1}, "impossible shape or file"),
        ({"size": 2**40}, "impossible shape"),
        ({"offset": 2**40}, "ends too early"),
    ],
)
def test_other_checkpoints_are_refused(tmp_path: Path, changed: dict[str, int], message: str) -> None:
    index = write(tmp_path / "a.ckpt", values(), **changed)
    with pytest.raises(InputError, match=message):
        read_checkpoint(index)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    """However much is cut off, and whatever byte is another: an error, or weights of the sizes that the file has."""
    index = write(tmp_path / "a.ckpt", values())
    data, draw = index.read_bytes(), np.random.default_rng(0)
    for size in range(0, len(data), 7):
        index.write_bytes(data[:size])
        with pytest.raises(InputError):
            read_checkpoint(index)
    for _ in range(150):
        broken = bytearray(data)
        broken[draw.integers(len(data))] = draw.integers(256)
        index.write_bytes(broken)
        try:
            total = sum(value.nbytes for value in read_checkpoint(index).state.values())
        except InputError:
            continue
        assert total <= sum(value.nbytes for value in values().values())
    index.write_bytes(data)
    raw = tmp_path / "a.ckpt.data-00000-of-00001"
    raw.write_bytes(raw.read_bytes()[:-1])
    with pytest.raises(InputError, match="ends too early"):
        read_checkpoint(index)
    raw.unlink()
    with pytest.raises(InputError, match="is missing beside it"):
        read_checkpoint(index)
