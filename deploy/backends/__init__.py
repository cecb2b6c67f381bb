"""What runs a network: one small protocol, one file per runtime."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from ..errors import UsageError

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Port:
    """A named input or output; an axis that is free has the size None."""

    name: str
    shape: tuple[int | None, ...]


class Backend(Protocol):
    """A network ready to run.

    A requested device is a contract: a backend that cannot have it raises IncompatibleError and never runs
    elsewhere. `run` may be called from several threads.
    """

    @property
    def inputs(self) -> Sequence[Port]: ...
    @property
    def outputs(self) -> Sequence[Port]: ...
    @property
    def metadata(self) -> Mapping[str, str]:
        """Texts stored in the model file, the Card among them."""
        ...

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays: ...


def open_backend(path: str, *, backend: str = "auto", device: str = "cpu", threads: int | None = None) -> Backend:
    """The backend for a model file, on "cpu" or "cuda:N".

    Raises UsageError for an unknown name, InputError when the file is missing, IncompatibleError when it cannot run.
    """
    if backend not in ("auto", "ort"):
        raise UsageError(f"unknown backend '{backend}'; choose auto or ort")
    if not re.fullmatch("cpu|cuda(:[0-9]+)?", device):
        raise UsageError(f"unknown device '{device}'; choose cpu or cuda:N")
    from .ort import OrtBackend  # a runtime is imported when it is used, never before

    return OrtBackend(path, device=device, threads=threads)
