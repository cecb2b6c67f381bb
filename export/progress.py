"""What an export tells of its steps while it works."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from .source import Source

T = TypeVar("T")


class Progress:
    """Tells nothing; the command line overrides all methods."""

    def chosen(self, source: "Source") -> None:
        """Hears what is exported."""

    def step(self, name: str) -> AbstractContextManager[object]:
        """Encloses a step."""
        return nullcontext()

    def track(self, name: str, parts: Iterable[T], count: int) -> Iterable[T]:
        """Hands on the `count` parts of a step."""
        return parts
