"""The column of masks, which are stretched over their boxes when they are read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import _native
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
        whole = [self[row : row + 1].union() for row in range(len(self))]
        return np.array(whole, np.bool_).reshape(-1, height, width)

    def union(self) -> NDArray[np.bool_]:
        """The pixels (h, w) of the image that belong to any mask."""
        union = np.zeros(self.image_size[::-1], np.bool_)
        for row in range(len(self)):
            (top, left), part = self.part(row)
            union[top : top + part.shape[0], left : left + part.shape[1]] |= part
        return union

    def part(self, row: int) -> tuple[tuple[int, int], NDArray[np.bool_]]:
        """The (top, left) px of the part of the image in which one mask lies, and the mask there."""
        mask = np.asarray(self.values[row], np.float32)
        place, part = _native.paste_mask(mask, self.boxes[row], self.image_size, self.paste)
        return place, part.view(np.bool_)

    def records(self) -> list[dict[str, Any]]:
        """`segmentation` as COCO's compressed run lengths: {"size": [height, width], "counts": text}."""
        size, records = list(self.image_size[::-1]), list[dict[str, Any]]()
        for row in range(len(self)):
            place, part = self.part(row)
            counts = _native.run_text(part.view(np.uint8), place, self.image_size)
            records.append({"segmentation": {"size": size, "counts": counts}})
        return records

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
