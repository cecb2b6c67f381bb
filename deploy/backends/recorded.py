"""A backend for tests that replays recorded outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from ..contract.port import Arrays, Port


class RecordedBackend:
    """Returns `outputs` from every run and keeps the last feeds in `fed`."""

    def __init__(self, outputs: Arrays, metadata: Mapping[str, str]) -> None:
        self._outputs = outputs
        self.metadata = metadata
        self.inputs: Sequence[Port] = (Port("image", (None, 3, None, None)),)
        self.outputs: Sequence[Port] = tuple(Port(name, value.shape) for name, value in outputs.items())
        self.fed: Mapping[str, NDArray[Any]] = {}

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        self.fed = dict(feeds)
        return self._outputs
