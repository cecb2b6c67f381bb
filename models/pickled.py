"""Weights in pickles of NumPy arrays, PaddlePaddle's .pdparams and Detectron2's .pkl, read without running code."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .stored import MalformedError, NumberType
from .unpickle import STREAM, Unpickler

_DTYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1")

_PROTOCOL = b"\x80"  # what a binary pickle starts with


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle, but none of PyTorch's. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        start = file.read(len(STREAM))
    return start.startswith(_PROTOCOL) and start != STREAM


def read_arrays(path: Path) -> dict[str, Tensor]:
    """The arrays of a pickle by name, or those in its entry `model`. Other entries are skipped.

    Raises MalformedError if the file is damaged or of another kind, OSError if it cannot be read.
    """
    with path.open("rb") as file:
        try:
            content = _Unpickler(file).load()
        except (MalformedError, OSError):
            raise
        except Exception as error:  # A hostile file can raise any exception in the unpickler.
            raise MalformedError(f"damaged, or no pickle of weights ({type(error).__name__})") from error
    if not isinstance(content, dict):
        raise MalformedError("without weights; it holds something else")
    if isinstance(content.get("blobs"), dict):
        raise MalformedError("weights of Caffe2, whose names are not read; convert them with Detectron2")
    content = content["model"] if isinstance(content.get("model"), dict) else content
    return {name: array.tensor() for name, array in content.items() if type(name) is str and isinstance(array, _Array)}


class _Array:
    """A NumPy array: its dtype, shape and bytes, which follow its creation in the pickle."""

    state: Sequence[Any] = ()

    def __init__(self, *_: Any) -> None:
        pass

    def tensor(self) -> Tensor:
        """The array's values. Raises MalformedError if its parts contradict each other."""
        try:
            _, shape, kind, is_column_major, data = self.state
            if not isinstance(kind, NumberType) or kind.code not in _DTYPES or type(data) is not bytes:
                raise MalformedError("an array does not hold numbers")
            values = np.frombuffer(data, f"<{kind.code}").reshape(shape, order="F" if is_column_major else "C")
        except (TypeError, ValueError) as error:
            raise MalformedError("an array's shape contradicts its data") from error
        return torch.from_numpy(np.array(values, order="C"))


class _Unpickler(Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _Array if name == "_reconstruct" else super().find_class(module, name)

    def _build(self) -> None:
        state, target = self.stack[-2:][::-1]
        if not isinstance(target, _Array):
            super()._build()
        elif isinstance(self.stack.pop(), tuple):
            target.state = state

    dispatch: ClassVar = Unpickler.dispatch | {pickle.BUILD[0]: _build}
