"""The base class of columns, which hold further attributes of detections."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .transform import Transform


@dataclass(frozen=True, eq=False)
class Column:
    """One attribute of n detections: `values` (n, ...) become the attribute `name` of Instances.

    A column of plain numbers overrides no method. A column of coordinates overrides `mapped`. A column that is drawn
    or written to files overrides the methods for that.
    """

    values: NDArray[Any]
    name: ClassVar[str]

    def __post_init__(self) -> None:
        self.values.setflags(write=False)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Self:
        """The column with the selected rows."""
        return replace(self, values=self.values[rows])

    @classmethod
    def joined(cls, parts: Sequence[Any]) -> Self:
        """The rows of all parts, of which there must be at least one."""
        return replace(parts[0], values=np.concatenate([part.values for part in parts]))

    def read(self) -> NDArray[Any]:
        """What Instances give as the attribute `name`: the values, by default as they are."""
        return self.values

    def mapped(self, transform: Transform) -> Self:
        """The column in px of another image."""
        return self

    def bounds(self) -> NDArray[np.float32] | None:
        """The box (n, 4) xyxy px around each row; None if the column has no coordinates."""
        return None

    def distances(self, other: Any) -> NDArray[np.float32]:
        """The distances (n, parts) in px between the parts of each row and those of the same row in `other`."""
        return np.zeros((len(self), 0), np.float32)

    def records(self) -> list[dict[str, Any]]:
        """The fields that each row adds to its JSON record."""
        return [{} for _ in range(len(self))]

    def texts(self, image_size: tuple[int, int]) -> list[str]:
        """The text that each row adds to its line of a label file, for an image of (width, height) px."""
        return [""] * len(self)

    def notes(self) -> list[str]:
        """The text that each row adds to its line of the printed table."""
        return [""] * len(self)

    def captions(self) -> list[str]:
        """The text that each row puts before its caption in a drawing."""
        return [""] * len(self)

    def paint(self, canvas: NDArray[np.uint8], row: int, line: int) -> None:
        """Draw one row on a canvas (h, w, 3) BGR with lines `line` px wide."""

    def to_supervision(self, scores: NDArray[np.float32], labels: NDArray[Any], data: dict[str, Any]) -> Any:
        """An object of the package supervision that holds the column; None if it has no class for it."""
        return None
