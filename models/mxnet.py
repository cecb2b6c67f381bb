"""The weights in MXNet's .params files: named arrays, read without MXNet."""

import struct
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .stored import MalformedError

_LIST = 0x112
_DENSE_WITH_KIND = (0xF993FAC9, 0xF993FACA)  # since MXNet 0.12, and with shapes as in NumPy since 1.5
_DENSE = 0xF993FAC8
_DTYPES = ("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8")
_MOST_AXES = 32


def read_params(path: Path) -> dict[str, Tensor]:
    """The arrays of a .params file by name, without the "arg:" or "aux:" in front.

    Raises MalformedError if the file is damaged or of another kind, OSError if it cannot be read.
    """
    reader = _Reader(path.read_bytes())
    if reader.number("Q") != _LIST:
        raise MalformedError("no file of MXNet's weights")
    reader.number("Q")  # reserved
    arrays = [reader.array() for _ in range(reader.count(least=4))]
    names = [reader.text() for _ in range(reader.count(least=8))]
    if len(names) != len(arrays) or len(set(names)) != len(names):
        raise MalformedError("its arrays have no names of their own")
    return dict(zip(names, arrays, strict=True))


class _Reader:
    """Reads a file's bytes one after the other. Raises MalformedError past their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise MalformedError("damaged: it ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, code: str) -> int:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0]

    def count(self, least: int) -> int:
        """A number of entries that have at least so many bytes each."""
        count = self.number("Q")
        if count * least > len(self._data) - self._at:
            raise MalformedError("damaged: it ends too early")
        return count

    def text(self) -> str:
        try:
            return self.take(self.number("Q")).decode().removeprefix("arg:").removeprefix("aux:")
        except UnicodeDecodeError as error:
            raise MalformedError("damaged: a name is no text") from error

    def array(self) -> Tensor:
        magic = self.number("I")
        if magic in _DENSE_WITH_KIND:
            if self.number("i") != 0:
                raise MalformedError("an array is sparse; save it dense")
        elif magic != _DENSE:
            raise MalformedError("an array has an unknown layout, as of MXNet before 0.9; save it again")
        axes = self.number("I")
        if axes > _MOST_AXES:
            raise MalformedError("an array has an impossible shape")
        shape = [self.number("q") for _ in range(axes)]
        if any(side < 0 for side in shape) or not (shape or magic == _DENSE_WITH_KIND[1]):
            raise MalformedError("an array has an impossible shape or none")
        self.take(8)  # the device
        kind = self.number("i")
        if not 0 <= kind < len(_DTYPES):
            raise MalformedError("an array does not hold numbers")
        data = self.take(prod(shape) * np.dtype(_DTYPES[kind]).itemsize)
        return torch.from_numpy(np.frombuffer(data, _DTYPES[kind]).reshape(shape).copy())
