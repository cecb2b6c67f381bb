"""What is known of every finding beside its score, label and box: a column, with a row for each finding."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .transform import Transform


@dataclass(frozen=True, eq=False)
class Column:
    """One file for each kind of column: `name` is its attribute of Instances, `values` (n, ...) what that gives.

    A column of plain numbers overrides nothing. One that lies in the picture overrides `mapped`; one that is shown
    overrides what shows it.
    """

    values: NDArray[Any]
    name: ClassVar[str]

    def __post_init__(self) -> None:
        self.values.setflags(write=False)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Self:
        """The chosen rows."""
        return replace(self, values=self.values[rows])

    @classmethod
    def joined(cls, parts: Sequence[Any]) -> Self:
        """The rows of all parts, of which there is one at least."""
        return replace(parts[0], values=np.concatenate([part.values for part in parts]))

    def mapped(self, transform: Transform) -> Self:
        """The same in px of another picture."""
        return self

    def bounds(self) -> NDArray[np.float32] | None:
        """The box (n, 4) xyxy px around each row; None for what has no place."""
        return None

    def distances(self, other: Any) -> NDArray[np.float32]:
        """How far the parts (n, parts) of each row lie from those of the same row in `other`, in px."""
        return np.zeros((len(self), 0), np.float32)

    def records(self) -> list[dict[str, Any]]:
        """What each row adds to its JSON record."""
        return [{} for _ in range(len(self))]

    def texts(self, image_size: tuple[int, int]) -> list[str]:
        """What each row adds to its line of a label file, of an image of (width, height) px."""
        return [""] * len(self)

    def notes(self) -> list[str]:
        """What each row adds to its line of the printed table."""
        return [""] * len(self)

    def paint(self, canvas: NDArray[np.uint8], row: int, line: int) -> None:
        """Draw one row on a canvas (h, w, 3) BGR with lines of `line` px."""

    def to_supervision(self, scores: NDArray[np.float32], labels: NDArray[Any], data: dict[str, Any]) -> Any:
        """An object of the package supervision that holds the column; None where it has no class for it."""
        return None
