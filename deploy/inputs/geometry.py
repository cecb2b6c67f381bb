"""What every way to place an image on a canvas has in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..system.errors import UsageError

Image = NDArray[np.uint8]
"""Pixels (h, w, 3), blue first, as OpenCV reads them."""

Pixel = np.float32 | np.float16 | np.uint8
"""What a network's input may hold."""

Size = tuple[int, int]
"""Height and width in px."""

USUAL_IMAGE = (480, 640)
"""The image size that stands for all where none is known."""

_SIDES = range(32, 8193)


@dataclass(frozen=True)
class Normalization:
    """Channel order, then (value - mean) / std on the scale 0..255, with mean and std in the order of `color`."""

    color: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def swaps(self) -> bool:
        """Whether red comes first."""
        return self.color == "rgb"


class Frame(ABC):
    """How one image lies on its canvas."""

    image_size: Size
    canvas_size: Size
    offset: tuple[int, int] = (0, 0)
    """(top, left) px of the canvas where the image begins."""

    @abstractmethod
    def fill(self, canvas: NDArray[Pixel], image: Image, pixels: Normalization, threads: int) -> None:
        """Put the image (h, w, 3) uint8 BGR, normalised, on a canvas (3, h, w)."""

    @abstractmethod
    def to_canvas(self, points: NDArray[Any]) -> NDArray[np.float32]:
        """Points (..., 2) xy in px of the image as px of the canvas."""

    @abstractmethod
    def full(self) -> "Frame":
        """The same canvas filled by an image of its own size."""

    @property
    @abstractmethod
    def content_size(self) -> Size:
        """(height, width) px of the canvas that the image covers: the rest is padding."""

    @property
    def extent(self) -> tuple[int, int]:
        """The same as (width, height), as Instances have it."""
        height, width = self.content_size
        return width, height


class Geometry(ABC):
    """A rule that makes a Frame of an image; one part of the Card."""

    kind: Any
    mirrors_canvas: ClassVar[bool] = True
    """Whether a mirrored view is the mirrored canvas, or the canvas of the mirrored image."""

    @property
    @abstractmethod
    def canvas(self) -> Size | None:
        """The one canvas size that it makes; None where that depends on the image."""

    @abstractmethod
    def whole(self, image_size: Size, scale: float = 1.0, least_scale: float = 1.0) -> Frame:
        """The Frame of a whole image of (height, width) px, at one of several scales of which one is the least."""

    def typical(self, image_size: Size) -> Sequence[Frame]:
        """Frames like those of real use, for comparisons of two networks."""
        return [self.whole(image_size)]

    @abstractmethod
    def small(self) -> "Geometry":
        """The same rule with a small canvas, where a network's results on it say as much."""

    @abstractmethod
    def fixed(self, canvas: Size) -> "Geometry":
        """The same rule with one canvas size; UsageError where it has none or not this one."""

    @abstractmethod
    def extremes(self, scales: Sequence[float]) -> tuple[Size, Size, Size]:
        """The smallest, the usual and the largest canvas that it makes at some scales."""

    def makes(self, side: int) -> bool:
        """Whether a canvas may have this side, between the extremes."""
        return True

    @property
    def padding(self) -> str:
        """Which sides those are, in words; empty where all are."""
        return ""

    @property
    @abstractmethod
    def label(self) -> str:
        """A few words for tables."""


def check_canvas(canvas: Size, multiple: int, one_less: bool = False) -> None:
    """UsageError unless both sides of a canvas are of a usual size and multiples, or one less than multiples."""
    for side in canvas:
        if side not in _SIDES:
            raise UsageError(f"imgsz {side} is out of range; give sides of {_SIDES[0]} to {_SIDES[-1]} px")
        if (side + one_less) % multiple:
            near = max(multiple, (side + one_less) // multiple * multiple) - one_less
            rule = f"one less than a multiple of {multiple}" if one_less else f"a multiple of {multiple}"
            raise UsageError(f"imgsz {side} is not {rule}; use {near} or {near + multiple}")
