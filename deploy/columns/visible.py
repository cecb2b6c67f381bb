"""The visible part of each object, which a network may predict of people in a crowd."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from .column import Column
from .transform import Transform


@dataclass(frozen=True, eq=False)
class Visible(Column):
    """Boxes (n, 4) xyxy px of what can be seen."""

    name: ClassVar[str] = "visible"

    def mapped(self, transform: Transform) -> Self:
        return replace(self, values=transform.boxes(self.values))
