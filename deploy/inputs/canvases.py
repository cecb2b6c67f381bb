"""Memory of network inputs, used again from run to run."""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Canvases(threading.local):
    """Arrays in memory of each thread's own, which grows to the largest: fresh pages cost as much as the pixels."""

    def __init__(self) -> None:
        self._memory: dict[str, NDArray[np.uint8]] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: str = "float32") -> NDArray[Any]:
        """An uninitialised array; the caller may use it until the thread takes the next one of that name."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if name not in self._memory or size > self._memory[name].size:
            self._memory[name] = np.empty(size, np.uint8)
        return self._memory[name][:size].view(dtype).reshape(shape)
