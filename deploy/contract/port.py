"""What runs a network, seen from outside: named inputs and outputs, and one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Port:
    """A named input or output. A free axis has the size None.

    An input that `takes_images` may be fed an ImageBatch (inputs/image_batch.py); the backend preprocesses it.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    takes_images: bool = False


class Backend(Protocol):
    """A network ready to run.

    A backend that cannot have the requested device raises IncompatibleError; it never runs elsewhere. `run` may be
    called from several threads. The caller may reuse the arrays it passed when `run` returns.
    """

    @property
    def inputs(self) -> Sequence[Port]: ...
    @property
    def outputs(self) -> Sequence[Port]: ...
    @property
    def metadata(self) -> Mapping[str, str]:
        """Texts stored in the model file; the Card is one of them."""
        ...

    def run(self, feeds: Mapping[str, Any]) -> Arrays: ...
