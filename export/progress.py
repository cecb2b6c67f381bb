"""Callbacks that report the progress of an export."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from .source import Source

T = TypeVar("T")


class Progress:
    """Reports nothing. The command line overrides all methods."""

    def chosen(self, source: "Source") -> None:
        """Called with the source of the export."""

    def step(self, name: str) -> AbstractContextManager[object]:
        """A context manager around each step."""
        return nullcontext()

    def track(self, name: str, parts: Iterable[T], count: int) -> Iterable[T]:
        """Iterate over the `count` parts of a step."""
        return parts
