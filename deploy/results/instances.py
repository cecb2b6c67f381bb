"""The result of a model for one image."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import COLUMNS
from ..columns.column import Column
from ..columns.palette import Color, color_of
from ..columns.transform import Transform
from ..inputs.geometry import GivenImage, Image
from ..inputs.given import checked
from .draw import draw


@dataclass(frozen=True, eq=False)
class Instances:
    """The detections of one image, best first.

    `boxes` (n, 4) float32 are xyxy in px of the original image, `scores` (n,) are float32, `labels` (n,) int64 are
    indices into `names`. `image_size` is (width, height). `timing` has the milliseconds of each stage. Columns hold
    further attributes and are read by name: `keypoints` (n, k, 3) float32 are x, y in px and a score. A column that the
    model does not have is None. A stream sets `source` to the file and `frame` to the index of its frame or page.
    Instances behave like a list; each item is an Instances with one detection.

    >>> found = detector(image)
    >>> for one in found:
    ...     print(found.names[one.labels[0]], one.boxes.shape)
    qr_code (1, 4)
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
    colors: tuple[Color, ...] = ()

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
        """Detections without boxes: each box becomes the bounds of the columns, or the whole image without any.

        >>> whole = Instances.around([], np.ones(1, np.float32), np.zeros(1, np.int64), ("page",), (640, 480))
        >>> whole.boxes.tolist()
        [[0.0, 0.0, 640.0, 480.0]]
        """
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
        """The detections of all parts, at least one, which must be of one image and have the same columns.

        >>> both = Instances.joined([found, found])
        >>> len(both) == 2 * len(found)
        True
        """
        first = parts[0]
        if len({frozenset(part.columns) for part in parts}) > 1:
            raise ValueError("parts with different columns cannot be joined")
        rows = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ROWS}
        columns = {
            name: type(column).joined([part.columns[name] for part in parts]) for name, column in first.columns.items()
        }
        return replace(first, **rows, columns=columns)

    def __getattr__(self, name: str) -> Any:
        # Read from __dict__, because `columns` does not exist yet while the object is being copied.
        column = self.__dict__.get("columns", {}).get(name)
        if column is not None:
            return column.read()
        if any(known.name == name for known in COLUMNS):
            return None
        raise AttributeError(f"Instances have no attribute {name!r}")

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: Any) -> "Instances":
        """The selected detections: an integer, a slice, a list of integers or a mask, as for the rows of an array.

        Raises IndexError for one out of range and for other kinds of index.

        >>> best, confident = found[0], found[found.scores > 0.5]
        >>> qr_codes = found[[found.names[label] == "qr_code" for label in found.labels]]
        >>> len(best), len(found[-1]), len(found[:0])
        (1, 1, 0)
        """
        if not isinstance(index, slice):
            index = np.array(index)
            index = index.astype(np.intp) if index.size == 0 else index  # the type of an empty list is float
            if index.ndim > 1 or index.dtype.kind not in "iub" or (index.dtype.kind == "b" and index.ndim != 1):
                raise IndexError(f"{type(self).__name__} take an integer, a slice, a list of integers or a mask")
            index = np.atleast_1d(index)
        rows = {name: getattr(self, name)[index] for name in _ROWS}
        return replace(self, **rows, columns={name: column[index] for name, column in self.columns.items()})

    def __iter__(self) -> Iterator["Instances"]:
        return (self[i] for i in range(len(self)))

    def with_columns(self, *columns: Column) -> "Instances":
        """The same detections with columns added, or replaced if the name exists.

        >>> from detforge.deploy.columns.quality import Quality
        >>> more = found.with_columns(Quality(np.array([0.5], np.float32)))
        >>> more.quality.tolist(), found.quality
        ([0.5], None)
        """
        return replace(self, columns={**self.columns, **{column.name: column for column in columns}})

    def mapped(self, transform: Transform) -> "Instances":
        """The same detections in px of another image.

        >>> from detforge.deploy.columns.transform import Transform
        >>> moved = found.mapped(Transform((640, 640), shift=(100.0, 0.0)))
        >>> (moved.boxes - found.boxes).round().tolist()
        [[100.0, 0.0, 100.0, 0.0]]
        """
        columns = {name: column.mapped(transform) for name, column in self.columns.items()}
        return replace(self, boxes=transform.boxes(self.boxes), columns=columns, image_size=transform.size)

    def scaled(self, image_size: tuple[int, int], factor: float | None = None) -> "Instances":
        """The same detections in the image resized to (width, height), divided by `factor` or the ratio of sizes.

        >>> larger = found.scaled((640, 640))
        >>> larger.image_size, (larger.boxes / found.boxes).round(3).tolist()
        ((640, 640), [[2.0, 2.0, 2.0, 2.0]])
        """
        if factor is not None:
            return self.mapped(Transform(image_size, (1 / factor, 1 / factor)))
        if image_size == self.image_size:
            return self
        (width, height), (own_width, own_height) = image_size, self.image_size
        return self.mapped(Transform(image_size, (width / own_width, height / own_height)))

    def to_coco(self, image: str | Path = "") -> list[dict[str, Any]]:
        """Records in the style of COCO results: bbox is [x, y, width, height] in px, rounded to 3 decimals.

        Columns add their own fields: poses have `keypoints`, [x, y, score, ...] in the skeleton's order. COCO's tools
        also need `image_id` and `category_id`, which depend on the data set.

        >>> record = found.to_coco("a.png")[0]
        >>> record["image"], record["category"], len(record["bbox"])
        ('a.png', 'qr_code', 4)
        """
        records: list[dict[str, Any]] = [
            {
                "image": str(image),
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
        """The detections as `supervision.Detections`, or `KeyPoints` for poses. Needs the package supervision 0.29.

        >>> detections = found.to_supervision()
        >>> detections.xyxy.shape, detections.data["class_name"].tolist()
        ((1, 4), ['qr_code'])
        """
        import supervision

        names = np.array(self.names)[self.labels] if len(self) else np.empty(0, str)
        scores, labels = self.scores.copy(), self.labels.astype(int)
        data: dict[str, Any] = {"class_name": names}
        for column in self.columns.values():
            if (own := column.to_supervision(scores, labels, data)) is not None:
                return own
        tracks = None if self.track_id is None else self.track_id.astype(int)
        return supervision.Detections(
            xyxy=self.boxes.copy(),
            mask=self.masks,
            confidence=scores,
            class_id=labels,
            tracker_id=tracks,
            data=data,
        )

    def _color(self, label: int) -> Color:
        """The BGR colour of a class."""
        if not self.colors:
            return color_of(label)
        red, green, blue = self.colors[label]
        return blue, green, red

    def draw(self, image: GivenImage) -> Image:
        """A copy of `image` (h, w, 3) uint8 BGR with boxes, columns, labels and scores drawn.

        Raises UsageError for what is no image.

        >>> drawn = found.draw(image)
        >>> drawn.shape == image.shape, bool((drawn != image).any())
        (True, True)
        """
        checked([image])
        labels = self.labels.tolist()
        scores = self.scores.tolist()
        captions = [f"{self.names[label]} {score:.2f}" for label, score in zip(labels, scores, strict=True)]
        for column in self.columns.values():
            captions = [more + caption for more, caption in zip(column.captions(), captions, strict=True)]
        colors = [self._color(label) for label in labels]
        return draw(image, self.boxes, colors, captions, self.columns)


_ROWS = ("boxes", "scores", "labels")
_CORNERS = ((np.min, slice(0, 2)), (np.max, slice(2, 4)))
