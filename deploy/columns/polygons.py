"""The column of polygons, such as the outlines of lines of text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from .column import Column
from .palette import color_of
from .transform import Transform


@dataclass(frozen=True, eq=False)
class Polygons(Column):
    """One polygon for each detection: `values` (n,) are arrays (m, 2) float32 of its corners, x and y in px.

    The polygons of one image may have different numbers of corners, at least one.
    """

    name: ClassVar[str] = "polygons"

    @classmethod
    def of(cls, polygons: Sequence[NDArray[Any]]) -> Self:
        """The column of these polygons (m, 2)."""
        values = np.empty(len(polygons), object)
        for i, polygon in enumerate(polygons):
            values[i] = polygon.astype(np.float32)
            values[i].setflags(write=False)
        return cls(values)

    def mapped(self, transform: Transform) -> Self:
        return self.of([transform.points(polygon) for polygon in self.values])

    def bounds(self) -> NDArray[np.float32]:
        sides = [[*polygon.min(0), *polygon.max(0)] for polygon in self.values]
        return np.array(sides, np.float32).reshape(-1, 4)

    def distances(self, other: Any) -> NDArray[np.float32]:
        """The largest distance (n, 1) in px of a corner of either polygon from the outline of the other."""
        pairs = zip(self.values, other.values, strict=True)
        return np.array([max(_apart(one, two), _apart(two, one)) for one, two in pairs], np.float32).reshape(-1, 1)

    def records(self) -> list[dict[str, Any]]:
        """`segmentation` in COCO's format: [[x, y, ...]]."""
        return [{"segmentation": [[round(side, 3) for side in polygon.ravel().tolist()]]} for polygon in self.values]

    def texts(self, image_size: tuple[int, int]) -> list[str]:
        """The x and y of each corner, divided by the image's width and height."""
        parts = [(polygon / np.array(image_size, np.float32)).ravel().tolist() for polygon in self.values]
        return ["".join(f" {side:.6f}" for side in own) for own in parts]

    def paint(self, canvas: NDArray[np.uint8], row: int, line: int) -> None:
        # OpenCV takes 32-bit coordinates only, here in 1/16 px.
        corners = np.clip(np.rint(np.nan_to_num(self.values[row]) * 16), -1e7, 1e7).astype(np.int32)
        cv2.polylines(canvas, [corners], True, color_of(1), line, cv2.LINE_AA, 4)

    def to_supervision(self, scores: NDArray[np.float32], labels: NDArray[Any], data: dict[str, Any]) -> Any:
        data[self.name] = list(self.values)


def _apart(polygon: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The largest distance of a corner of a polygon from the outline of the other."""
    starts, sides = other.astype(np.float64), np.roll(other, -1, 0).astype(np.float64) - other
    there = polygon[:, None] - starts  # (corners, sides, 2)
    along = (there * sides).sum(2) / np.maximum((sides**2).sum(1), 1e-12)
    nearest = there - np.clip(along, 0, 1)[..., None] * sides
    return float(np.linalg.norm(nearest, axis=2).min(1).max())
