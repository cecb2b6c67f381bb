"""The column of masks, which are stretched over their boxes when they are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from .column import Column
from .palette import color_of
from .transform import Transform

Paste = Literal["exact", "whole", "cells"]
"""How a mask is stretched over its box: "exact" to the box's sides (OpenMMLab, Detectron2), to "whole" px after the
mask has grown by an empty border (torchvision), both bilinearly; or by the nearest of its "cells"."""


@dataclass(frozen=True, eq=False)
class Masks(Column):
    """Masks of n detections: `values` (n,) are arrays (rows, columns) over each of the `boxes` (n, 4) xyxy px.

    They hold probabilities, or bools. Instances give them as `masks` (n, h, w) bool in px of an image of `image_size`
    (width, height). A pixel belongs to a mask if its probability is at least 0.5.
    """

    boxes: NDArray[np.float32]
    image_size: tuple[int, int]
    paste: Paste = "exact"
    name: ClassVar[str] = "masks"

    @classmethod
    def of(
        cls, masks: Sequence[NDArray[Any]], boxes: NDArray[np.float32], image_size: tuple[int, int], paste: Paste
    ) -> Self:
        """The column of masks with different sides."""
        values = np.empty(len(masks), object)
        for row, mask in enumerate(masks):
            values[row] = mask
        return cls(values, boxes.reshape(-1, 4), image_size, paste)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Self:
        return replace(self, values=self.values[rows], boxes=self.boxes[rows])

    @classmethod
    def joined(cls, parts: Sequence[Any]) -> Self:
        values, boxes = (np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "boxes"))
        return replace(parts[0], values=values, boxes=boxes)

    def mapped(self, transform: Transform) -> Self:
        masks = [mask[:, ::-1] if transform.mirrors else mask for mask in self.values]
        return self.of(masks, transform.boxes(self.boxes), transform.size, self.paste)

    def bounds(self) -> NDArray[np.float32]:
        return self.boxes

    def read(self) -> NDArray[np.bool_]:
        width, height = self.image_size
        return np.array(list(self._whole()), np.bool_).reshape(-1, height, width)

    def union(self) -> NDArray[np.bool_]:
        """The pixels (h, w) of the image that belong to any mask."""
        union = np.zeros(self.image_size[::-1], np.bool_)
        for row in range(len(self)):
            (top, left), part = self.part(row)
            union[top : top + part.shape[0], left : left + part.shape[1]] |= part
        return union

    def part(self, row: int) -> tuple[tuple[int, int], NDArray[np.bool_]]:
        """The (top, left) px of the part of the image in which one mask lies, and the mask there."""
        sides, mask = np.clip(np.nan_to_num(self.boxes[row]), -1e6, 1e6), self.values[row]
        weights = _WEIGHTS[self.paste]
        (left, columns), (top, rows) = (
            weights(sides[axis], sides[axis + 2], self.image_size[axis], mask.shape[1 - axis]) for axis in (0, 1)
        )
        return (top, left), rows @ mask.astype(np.float64) @ columns.T >= 0.5

    def records(self) -> list[dict[str, Any]]:
        """`segmentation` as COCO's compressed run lengths: {"size": [height, width], "counts": text}."""
        size = list(self.image_size[::-1])
        return [{"segmentation": {"size": size, "counts": _text(_runs(mask))}} for mask in self._whole()]

    def notes(self) -> list[str]:
        """The number of pixels."""
        return [f"  {int(self.part(row)[1].sum())} px" for row in range(len(self))]

    def paint(self, canvas: NDArray[np.uint8], row: int, line: int) -> None:
        (top, left), mask = self.part(row)
        part = canvas[top : top + mask.shape[0], left : left + mask.shape[1]]
        color = np.array(color_of(row))
        part[mask] = (part[mask] + color) // 2
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outlines, -1, color_of(row), line, cv2.LINE_AA, offset=(left, top))

    def _whole(self) -> Iterator[NDArray[np.bool_]]:
        """Each mask (h, w) in the image, one at a time: all of a large image would need much memory."""
        for row in range(len(self)):
            yield self[row : row + 1].union()


def _exact(low: np.float32, high: np.float32, size: int, cells: int) -> tuple[int, NDArray[np.float64]]:
    """The first pixel of one axis of an image that a mask between two sides covers, and the weights (px, cells) there.

    A pixel's centre lies between the centres of two cells, which are 0 outside the mask.
    """
    step = max(float(high) - float(low), 1e-6) / cells
    first, last = (int(np.clip(side, 0, size)) for side in (np.floor(low), np.ceil(high)))
    centres = (np.arange(first, max(first, last)) + 0.5 - float(low)) / step - 0.5
    return first, np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(cells)))


def _whole(low: np.float32, high: np.float32, size: int, cells: int) -> tuple[int, NDArray[np.float64]]:
    """The same with an empty cell at either end of the mask, and the sides of the larger mask cut to whole px."""
    # In single precision, as the reference truncates there.
    middle, reach = (low + high) * np.float32(0.5), (high - low) * np.float32(0.5) * np.float32((cells + 2) / cells)
    start, end = int(middle - reach), int(middle + reach)
    length = max(end - start + 1, 1)
    first, last = max(start, 0), min(end + 1, size)
    centres = (np.arange(first, max(first, last)) - start + 0.5) * (cells + 2) / length - 0.5
    centres = np.clip(centres, 0, cells + 1)
    return min(first, size), np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(1, cells + 1)))


def _cells(low: np.float32, high: np.float32, size: int, cells: int) -> tuple[int, NDArray[np.float64]]:
    """The same for masks of whole cells: a pixel takes the cell in which its centre lies."""
    first, last = (int(np.clip(np.ceil(side - 0.5), 0, size)) for side in (float(low), float(high)))
    places = np.arange(first, max(first, last)) + 0.5 - float(low)
    nearest = np.floor(places * (cells / max(float(high) - float(low), 1e-6)))
    return first, (np.clip(nearest, 0, cells - 1)[:, None] == np.arange(cells)).astype(np.float64)


_WEIGHTS = {"exact": _exact, "whole": _whole, "cells": _cells}


def _runs(mask: NDArray[np.bool_]) -> list[int]:
    """The lengths of runs of 0 and 1 in turns, column by column, the first of 0."""
    pixels = np.concatenate(([False], mask.ravel("F")))
    changes = np.flatnonzero(pixels[1:] != pixels[:-1])
    return np.diff(np.concatenate(([0], changes, [mask.size]))).tolist()


def _text(runs: Sequence[int]) -> str:
    """COCO's text of run lengths: from the third on differences to the last but one, in letters of five bits each."""
    letters: list[str] = []
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        while True:
            bits, value = value & 31, value >> 5
            is_last = value == (-1 if bits & 16 else 0)
            letters.append(chr(48 + (bits if is_last else bits | 32)))
            if is_last:
                break
    return "".join(letters)
