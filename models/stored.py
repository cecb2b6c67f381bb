"""Placeholders for objects in a checkpoint's pickle that are never created."""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch


class MalformedError(Exception):
    """The file is not a valid checkpoint; the message says why."""


class Inert:
    """Placeholder for an unknown function, class or object. Does nothing and stores nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> "Inert":
        return self


class Array(list[Any]):
    """The values of a NumPy array of one or two dimensions; empty for other arrays."""


class NumberType:
    """A NumPy dtype by its code."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code = code if type(code) is str else ""


@dataclass(frozen=True)
class Storage:
    """A block of `numel` values in the file."""

    dtype: torch.dtype
    key: str
    numel: int

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True)
class StoredTensor:
    """A tensor's position in a storage, in values."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        numbers = (self.offset, *self.size, *self.stride)
        if not all(type(number) is int and 0 <= number < 2**48 for number in numbers):
            raise MalformedError("a tensor has an impossible shape")
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        # With a stride of zero, one value could become terabytes, so the count is limited too.
        if prod(self.size) and (last >= self.storage.numel or prod(self.size) > self.storage.numel):
            raise MalformedError("a tensor reaches beyond its data")
