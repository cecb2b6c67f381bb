"""What a model found in one image."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import COLUMNS
from ..columns.column import Column
from ..columns.transform import Transform
from ..inputs.geometry import Image
from .draw import draw


@dataclass(frozen=True, eq=False)
class Instances:
    """The findings of one image, best first.

    boxes (n, 4) float32 xyxy in px of the original image, scores (n,) float32, labels (n,) int64 indices into
    `names`; `image_size` is (width, height); `timing` gives milliseconds per stage. Everything else that is known of a
    finding is a column, an attribute by its name: `keypoints` (n, k, 3) float32, each x, y in px and a score. A column
    that the model does not have is None. `source` is the file that they were found in and `frame` its frame or page,
    where a stream knows them. Behaves like a list whose items are Instances of one.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    image_size: tuple[int, int]
    timing: Mapping[str, float] = field(default_factory=dict[str, float])
    columns: Mapping[str, Column] = field(default_factory=dict[str, Column])
    source: str = ""
    frame: int | None = None

    def __post_init__(self) -> None:
        for array in (self.boxes, self.scores, self.labels):
            array.setflags(write=False)

    @classmethod
    def around(
        cls,
        columns: Sequence[Column],
        scores: NDArray[np.float32],
        labels: NDArray[np.int64],
        names: tuple[str, ...],
        image_size: tuple[int, int],
    ) -> "Instances":
        """Findings that have no boxes of their own: each box is the bounds of the columns, or the whole image."""
        bounds = [own for own in (column.bounds() for column in columns) if own is not None]
        if bounds:
            low, high = (pick([own[:, part] for own in bounds], 0) for pick, part in _CORNERS)
            boxes = np.concatenate((low, high), 1)
        else:
            boxes = np.tile(np.array([0, 0, *image_size], np.float32), (len(scores), 1))
        named = {column.name: column for column in columns}
        return cls(boxes.astype(np.float32), scores, labels, names, image_size, columns=named)

    @classmethod
    def joined(cls, parts: Sequence["Instances"]) -> "Instances":
        """The findings of all parts, which show one picture and have the same columns; there is one part at least."""
        first = parts[0]
        if len({frozenset(part.columns) for part in parts}) > 1:
            raise ValueError("parts with different columns cannot be joined")
        rows = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ROWS}
        columns = {
            name: type(column).joined([part.columns[name] for part in parts]) for name, column in first.columns.items()
        }
        return replace(first, **rows, columns=columns)

    def __getattr__(self, name: str) -> Any:
        # Looked up in the instance's own dict: while a copy is made, there is no `columns` yet.
        column = self.__dict__.get("columns", {}).get(name)
        if column is not None:
            return column.values
        if any(known.name == name for known in COLUMNS):
            return None
        raise AttributeError(f"Instances have no attribute {name!r}")

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int | slice | NDArray[Any]) -> "Instances":
        """The chosen findings; an int outside the range raises IndexError."""
        if isinstance(index, int):
            index = np.array([range(len(self))[index]])
        rows = {name: getattr(self, name)[index] for name in _ROWS}
        return replace(self, **rows, columns={name: column[index] for name, column in self.columns.items()})

    def __iter__(self) -> Iterator["Instances"]:
        return (self[i] for i in range(len(self)))

    def with_columns(self, *columns: Column) -> "Instances":
        """The same findings with more columns, or other ones of the same names."""
        return replace(self, columns={**self.columns, **{column.name: column for column in columns}})

    def mapped(self, transform: Transform) -> "Instances":
        """The same findings in another picture."""
        columns = {name: column.mapped(transform) for name, column in self.columns.items()}
        return replace(self, boxes=transform.boxes(self.boxes), columns=columns, image_size=transform.size)

    def scaled(self, image_size: tuple[int, int]) -> "Instances":
        """The same in an image of another (width, height) that shows the same."""
        if image_size == self.image_size:
            return self
        (width, height), (own_width, own_height) = image_size, self.image_size
        return self.mapped(Transform(image_size, (width / own_width, height / own_height)))

    def to_coco(self, image: str = "") -> list[dict[str, Any]]:
        """COCO-results-style records: bbox is [x, y, width, height] in px, rounded to 3 decimals.

        Columns add their own fields: poses have `keypoints`, [x, y, score, ...] in the skeleton's order. COCO's own
        tools want `image_id` and `category_id` as well, which the data set knows.
        """
        records: list[dict[str, Any]] = [
            {
                "image": image,
                "image_size": list(self.image_size),
                "bbox": [round(v, 3) for v in (x1, y1, x2 - x1, y2 - y1)],
                "score": round(score, 5),
                "label": label,
                "category": self.names[label],
            }
            for (x1, y1, x2, y2), score, label in zip(
                self.boxes.tolist(), self.scores.tolist(), self.labels.tolist(), strict=True
            )
        ]
        for column in self.columns.values():
            for record, more in zip(records, column.records(), strict=True):
                record.update(more)
        return records

    def to_supervision(self) -> Any:
        """The same as `supervision.Detections`, or `KeyPoints` for poses; needs the package supervision, 0.29."""
        import supervision

        names = np.array(self.names)[self.labels] if len(self) else np.empty(0, str)
        scores, labels = self.scores.copy(), self.labels.astype(int)
        data: dict[str, Any] = {"class_name": names}
        for column in self.columns.values():
            if (own := column.to_supervision(scores, labels, data)) is not None:
                return own
        return supervision.Detections(xyxy=self.boxes.copy(), confidence=scores, class_id=labels, data=data)

    def draw(self, image: Image) -> Image:
        """A copy of `image` (h, w, 3) uint8 BGR with boxes, columns, labels and scores drawn on it."""
        labels = self.labels.tolist()
        scores = self.scores.tolist()
        captions = [f"{self.names[label]} {score:.2f}" for label, score in zip(labels, scores, strict=True)]
        return draw(image, self.boxes, labels, captions, self.columns)


_ROWS = ("boxes", "scores", "labels")
_CORNERS = ((np.min, slice(0, 2)), (np.max, slice(2, 4)))
