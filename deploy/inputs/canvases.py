"""Reusable memory for network inputs."""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Canvases(threading.local):
    """Memory per thread that is reused between runs, because allocating new pages costs as much as preprocessing."""

    def __init__(self) -> None:
        self._memory: dict[str, NDArray[np.uint8]] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: str = "float32") -> NDArray[Any]:
        """An uninitialised array. It is valid until the same thread takes the next array of this name."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if name not in self._memory or size > self._memory[name].size:
            self._memory[name] = np.empty(size, np.uint8)
        return self._memory[name][:size].view(dtype).reshape(shape)
