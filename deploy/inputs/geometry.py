"""The base classes of geometries, which place an image on a canvas."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..system.errors import UsageError

Image = NDArray[np.uint8]
"""An image (h, w, 3) BGR, as OpenCV reads it."""

GivenImage = NDArray[Any]
"""What a caller may give as an Image: OpenCV's stubs leave the dtype open. `given.checked` refuses others."""

Pixel = np.float32 | np.float16 | np.uint8
"""The dtypes that an image input may have."""

Size = tuple[int, int]
"""Height and width in px."""

Place = Literal["resize", "crop", "cover", "zoom", "frustum"]
"""The kinds of geometry."""

USUAL_IMAGE = (480, 640)
"""The image size to assume if none is known."""

_SIDES = range(32, 8193)


@dataclass(frozen=True)
class Normalization:
    """Reorders the channels to `color`, then computes (value - mean) / std. mean and std are on the scale 0..255."""

    color: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def swaps(self) -> bool:
        """Whether BGR channels are reordered to RGB."""
        return self.color == "rgb"


class Frame(ABC):
    """The position of one image on its canvas."""

    image_size: Size
    canvas_size: Size
    offset: tuple[float, float] = (0, 0)
    """(top, left) of the image in px of the canvas."""
    factor: float | None = None
    """The px of the canvas per px of the image, where it is not the ratio of their rounded sizes."""

    @abstractmethod
    def fill(self, canvas: NDArray[Pixel], image: Image, pixels: Normalization, threads: int) -> None:
        """Write the image (h, w, 3) uint8 BGR, normalised, to a canvas (3, h, w)."""

    @abstractmethod
    def to_canvas(self, points: NDArray[Any]) -> NDArray[np.float32]:
        """Convert points (..., 2) xy from px of the image to px of the canvas."""

    @abstractmethod
    def full(self) -> "Frame":
        """The Frame of an image that has the size of this canvas and fills it."""

    @property
    @abstractmethod
    def content_size(self) -> Size:
        """The (height, width) px of the canvas that the image covers; the rest is padding."""

    @property
    def extent(self) -> tuple[int, int]:
        """`content_size` as (width, height), the order of Instances."""
        height, width = self.content_size
        return width, height


class Geometry(ABC):
    """A rule that places images on canvases, as Frames. It is a part of the Card."""

    kind: Any

    @property
    @abstractmethod
    def canvas(self) -> Size | None:
        """The canvas size if it is the same for all images, else None."""

    @abstractmethod
    def whole(self, image_size: Size, scale: float = 1.0, least_scale: float = 1.0) -> Frame:
        """The Frame of a whole image of (height, width) px at `scale`; `least_scale` is the smallest of all scales."""

    def typical(self, image_size: Size) -> Sequence[Frame]:
        """Typical Frames of an image of (height, width) px, for comparing two networks."""
        return [self.whole(image_size)]

    @abstractmethod
    def small(self) -> "Geometry":
        """The same rule with a small canvas for fast verification, if the network works at any size."""

    @abstractmethod
    def fixed(self, canvas: Size) -> "Geometry":
        """The same rule with a fixed canvas size. Raises UsageError if it cannot have this size."""

    @abstractmethod
    def extremes(self, scales: Sequence[float]) -> tuple[Size, Size, Size]:
        """The smallest, the usual and the largest canvas size at the given scales."""

    def makes(self, side: int) -> bool:
        """Whether a canvas may have a side of this length, which must be between the extremes."""
        return True

    @property
    def padding(self) -> str:
        """The rule for valid side lengths in words; empty if all are valid."""
        return ""

    @property
    @abstractmethod
    def label(self) -> str:
        """A short description for tables."""


def check_canvas(canvas: Size, multiple: int, one_less: bool = False) -> None:
    """Raise UsageError if a side of a canvas is out of range or not a multiple, or one less with `one_less`."""
    for side in canvas:
        if side not in _SIDES:
            raise UsageError(f"imgsz {side} is out of range; give sides of {_SIDES[0]} to {_SIDES[-1]} px")
        if (side + one_less) % multiple:
            near = max(multiple, (side + one_less) // multiple * multiple) - one_less
            rule = f"one less than a multiple of {multiple}" if one_less else f"a multiple of {multiple}"
            raise UsageError(f"imgsz {side} is not {rule}; use {near} or {near + multiple}")
