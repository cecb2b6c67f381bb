"""The column of masks, such as the regions that changed between two images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .column import Column
from .palette import color_of
from .transform import Transform


@dataclass(frozen=True, eq=False)
class Masks(Column):
    """The pixels of each detection: `values` (n,) are bool arrays (h, w), stretched over `places` (n, 4) xyxy px.

    `size` is the (width, height) px of the image. A pixel of the image belongs to a mask if its centre does.
    """

    places: NDArray[np.float32]
    size: tuple[int, int]
    name: ClassVar[str] = "masks"

    @classmethod
    def of(cls, masks: Sequence[NDArray[np.bool_]], places: NDArray[np.float32], size: tuple[int, int]) -> Self:
        """The column of these masks."""
        values = np.empty(len(masks), object)
        for i, mask in enumerate(masks):
            values[i] = mask.copy()
            values[i].setflags(write=False)
        return cls(values, places.reshape(-1, 4), size)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Self:
        return replace(self, values=self.values[rows], places=self.places[rows])

    @classmethod
    def joined(cls, parts: Sequence[Any]) -> Self:
        values, places = (np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "places"))
        return replace(parts[0], values=values, places=places)

    def mapped(self, transform: Transform) -> Self:
        masks = [mask[:, ::-1] if transform.mirrors else mask for mask in self.values]
        return self.of(masks, transform.boxes(self.places), transform.size)

    def bounds(self) -> NDArray[np.float32]:
        return self.places

    def pixels(self, row: int) -> tuple[int, int, NDArray[np.bool_]]:
        """The left and top px of a part of the image, and which of its pixels (h, w) belong to a mask."""
        mask = self.values[row]
        columns, left = _samples(self.places[row, 0::2], mask.shape[1], self.size[0])
        rows, top = _samples(self.places[row, 1::2], mask.shape[0], self.size[1])
        return left, top, mask[np.ix_(rows, columns)]

    def whole(self) -> NDArray[np.bool_]:
        """The pixels (height, width) of the image that belong to any mask."""
        union = np.zeros(self.size[::-1], np.bool_)
        for row in range(len(self)):
            left, top, mask = self.pixels(row)
            union[top : top + mask.shape[0], left : left + mask.shape[1]] |= mask
        return union

    def records(self) -> list[dict[str, Any]]:
        """`segmentation` in COCO's format: the run lengths of each mask, column by column."""
        width, height = self.size
        records: list[dict[str, Any]] = []
        for row in range(len(self)):
            left, top, mask = self.pixels(row)
            whole = np.zeros((width, height), np.bool_)
            whole[left : left + mask.shape[1], top : top + mask.shape[0]] = mask.T
            records.append({"segmentation": {"size": [height, width], "counts": _run_lengths(whole.ravel())}})
        return records

    def notes(self) -> list[str]:
        """The number of pixels."""
        return [f"  {int(self.pixels(row)[2].sum())} px" for row in range(len(self))]

    def paint(self, canvas: NDArray[np.uint8], row: int, line: int) -> None:
        left, top, mask = self.pixels(row)
        part = canvas[top : top + mask.shape[0], left : left + mask.shape[1]]
        mask = mask[: part.shape[0], : part.shape[1]]
        part[mask] = part[mask] // 2 + np.array(color_of(1), np.uint8) // 2

    def to_supervision(self, scores: NDArray[np.float32], labels: NDArray[Any], data: dict[str, Any]) -> Any:
        data[self.name] = [self.pixels(row) for row in range(len(self))]


def _samples(ends: NDArray[np.float32], count: int, size: int) -> tuple[NDArray[np.int64], int]:
    """For each px of an axis whose centre is between the `ends`, which of `count` cells it is in; and the first px."""
    low, high = (float(end) for end in ends)
    first = min(max(0, int(np.ceil(low - 0.5))), size)
    last = min(max(first, int(np.ceil(high - 0.5))), size)
    cells = (np.arange(first, last) + 0.5 - low) * (count / max(high - low, 1e-6))
    return np.clip(np.floor(cells), 0, count - 1).astype(np.int64), first


def _run_lengths(flat: NDArray[np.bool_]) -> list[int]:
    """The lengths of runs of equal values, from one of False, which may have length 0."""
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate(([0], ends, [len(flat)]))).tolist()
    return [0, *counts] if len(flat) and flat[0] else counts
