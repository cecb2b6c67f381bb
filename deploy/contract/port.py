"""The interface of a backend, which runs a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Port:
    """A named input or output of a network. A dynamic axis has the size None.

    If `takes_images` is True, the input also accepts an ImageBatch (inputs/image_batch.py), which the backend
    preprocesses.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    takes_images: bool = False


class Backend(Protocol):
    """A loaded network.

    A backend raises IncompatibleError if the requested device is not available; it never falls back to another. `run`
    is thread-safe. The caller may reuse the arrays that it passed once `run` returns.
    """

    @property
    def inputs(self) -> Sequence[Port]: ...
    @property
    def outputs(self) -> Sequence[Port]: ...
    @property
    def metadata(self) -> Mapping[str, str]:
        """The metadata of the model file, which includes the Card."""
        ...

    def run(self, feeds: Mapping[str, Any]) -> Arrays: ...
