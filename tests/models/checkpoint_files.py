"""Checkpoint files as PyTorch writes them, from a pickle of one's own choice."""

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detforge.deploy.system.errors import InputError
from detforge.models.checkpoint import read_checkpoint

FORMATS = ("zip", "stream")


def save(path: Path, content: Any, form: str) -> Path:
    """`torch.save` in the format since 1.6 ("zip") or before ("stream")."""
    torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    return path


def write(path: Path, program: bytes, form: str, values: int = 4) -> Path:
    """A file of either format around the pickle `program`, with one storage "0" of ones in fp32."""
    data = np.ones(values, np.float32).tobytes()
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", program)
            archive.writestr("archive/data/0", data)
        return path
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, system))
    path.write_bytes(head + program + pickle.dumps(["0"], 2) + struct.pack("<q", values) + data)
    return path


def call(module: str, name: str, *arguments: bytes) -> bytes:
    """Opcodes that push the result of calling a global."""
    return f"c{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def text(value: str) -> bytes:
    """Opcodes that push a text."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    """Opcodes that push a whole number."""
    return f"I{value}\n".encode()


def storage(kind: str = "FloatStorage", values: int = 4) -> bytes:
    """Opcodes that push storage "0"."""
    return b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text("0") + text("cpu") + number(values) + b"NtQ"


def tensor(offset: int, size: tuple[int, ...], stride: tuple[int, ...], source: bytes | None = None) -> bytes:
    """Opcodes that push a tensor on storage "0"."""

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(number, values)) + b"t"

    source = storage() if source is None else source
    arguments = (source, number(offset), numbers(size), numbers(stride), b"\x89", b"N")
    return call("torch._utils", "_rebuild_tensor_v2", *arguments)


def weights(*items: bytes) -> bytes:
    """A whole pickle: {"state_dict": {"w": a tensor}} with more items, texts and values in turn."""
    entry = text("w") + tensor(0, (2, 2), (2, 1))
    return b"\x80\x02}(" + text("state_dict") + b"}(" + entry + b"u" + b"".join(items) + b"u."


def refusal(path: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(InputError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.count("; ") >= 2
    assert "\n" not in message
    return message


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    """Whether two states hold the same weights."""
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in found)
