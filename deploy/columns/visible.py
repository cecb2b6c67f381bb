"""The column of visible boxes, which some networks predict for people in crowds."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from .column import Column
from .transform import Transform


@dataclass(frozen=True, eq=False)
class Visible(Column):
    """Boxes (n, 4) xyxy px around the visible part of each object."""

    name: ClassVar[str] = "visible"

    def mapped(self, transform: Transform) -> Self:
        return replace(self, values=transform.boxes(self.values))
