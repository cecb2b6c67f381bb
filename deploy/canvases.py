"""Memory of network inputs, used again from run to run."""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Canvases(threading.local):
    """Arrays in memory of each thread's own, which grows to the largest: fresh pages cost as much as the pixels."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def take(self, shape: tuple[int, ...], dtype: str = "float32") -> NDArray[Any]:
        """An array that holds anything, and is the caller's until the thread's next one."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size > self._memory.size:
            self._memory = np.empty(size, np.uint8)
        return self._memory[:size].view(dtype).reshape(shape)
