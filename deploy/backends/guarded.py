"""Replaces NaN and infinite values in the outputs of a network."""

import threading
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract.port import Arrays, Backend


class GuardedBackend:
    """Wraps a backend and replaces NaN and infinite outputs with 0. The first time, it warns.

    A score of 0 is below every threshold, so broken values give no detections and the other values are not affected.
    """

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend, self._name = backend, name
        self.inputs, self.outputs, self.metadata = backend.inputs, backend.outputs, backend.metadata
        self._lock = threading.Lock()
        self._warned = False

    def run(self, feeds: Mapping[str, Any]) -> Arrays:
        outputs = self._backend.run(feeds)
        return {name: self._finite(name, value) for name, value in outputs.items()}

    def _finite(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        if values.dtype.kind != "f" or (finite := np.isfinite(values)).all():
            return values
        with self._lock:
            first, self._warned = not self._warned, True
        if first:
            broken = values.size - np.count_nonzero(finite)
            warnings.warn(
                f"{self._name}: {broken} of {values.size} values of {name} are NaN or infinite and count as 0; "
                "its weights or its precision may be the cause; export it again in fp32 (shown once)",
                RuntimeWarning,
                stacklevel=2,
            )
        return np.where(finite, values, values.dtype.type(0))
