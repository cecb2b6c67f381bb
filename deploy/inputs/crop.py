"""Warps a box of an image onto a canvas, for top-down networks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.camera import Camera
from ..contract.parse import require
from ..system.errors import UsageError
from .geometry import Frame, Geometry, Image, Normalization, Pixel, Size, check_canvas
from .resize import LONGEST

FARTHEST = 1e6
"""The largest valid coordinate in px; no image is that large."""


@dataclass(frozen=True)
class WarpedFrame(Frame):
    """A rectangle of the image and the canvas that it is warped onto.

    `centre` (x, y) and `size` (w, h) are in px of the image. The width of the rectangle corresponds to the W px of the
    canvas, or with `spacing` to the W - 1 px between the centres of its first and last pixel. `camera` took the image;
    None if it is not known.
    """

    image_size: Size
    canvas_size: Size
    centre: tuple[float, float]
    size: tuple[float, float]
    spacing: bool
    camera: Camera | None = None

    @property
    def content_size(self) -> Size:
        return self.canvas_size

    def full(self) -> "WarpedFrame":
        height, width = self.canvas_size
        return replace(self, image_size=self.canvas_size, centre=(width / 2, height / 2), size=(width, height))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The matrix (2, 3) from px of the canvas to px of the image."""
        origin, size = self._rectangle
        return np.concatenate((np.diag(size / self._steps), origin[:, None]), 1)

    def to_image(self, parts: NDArray[Any]) -> NDArray[np.float32]:
        """Convert points (..., 2) xy relative to the canvas, 0..1, to px of the image."""
        origin, size = self._rectangle
        return (parts * size + origin).astype(np.float32)

    def to_canvas(self, points: NDArray[Any]) -> NDArray[np.float32]:
        origin, size = self._rectangle
        return ((points - origin) / size * self._steps).astype(np.float32)

    def fill(self, canvas: NDArray[Pixel], image: Image, pixels: Normalization, threads: int) -> None:
        fill_warped(canvas[None], image, [self], pixels)

    @property
    def _steps(self) -> NDArray[np.int64]:
        return np.maximum(1, np.array(self.canvas_size[::-1]) - self.spacing)

    @property
    def _rectangle(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        size = np.array(self.size, np.float64)
        return np.array(self.centre) - size / 2, size


def fill_warped(canvases: NDArray[Any], image: Image, frames: Sequence[WarpedFrame], pixels: Normalization) -> None:
    """Warp parts of one image (h, w, 3) uint8 BGR onto canvases (n, 3, h, w) and normalise them.

    The warp is bilinear, with black outside the image, and has the results of OpenCV 4's 8-bit warpAffine, as in
    training: positions are rounded to 1/32 px, and values to integers before the normalisation.
    """
    if frames:
        matrices = np.stack([frame.matrix for frame in frames])
        _native.crop(np.ascontiguousarray(image), matrices, canvases, pixels.mean, pixels.std, pixels.swaps)


@dataclass(frozen=True)
class Crop(Geometry):
    """A box of the image, with its sides multiplied by `enlarge` and then one of them enlarged to the aspect of `size`.

    The result is warped onto a canvas of `size` = (height, width). Lengths are in px, or with `spacing` measured
    between pixel centres, so that the crop and its mirror image agree (UDP, arXiv 1911.07524, section 3.1). If another
    size is requested, its sides must be multiples of `multiple`.
    """

    size: tuple[int, int]
    enlarge: tuple[float, float] = (1.0, 1.0)
    spacing: bool = False
    multiple: int = 1
    kind: Literal["crop", "zoom", "frustum"] = "crop"

    def __post_init__(self) -> None:
        require(all(1 <= side <= LONGEST for side in self.size), "place.size", f"sides of 1..{LONGEST} px")
        require(all(0.1 <= factor <= 10 for factor in self.enlarge), "place.enlarge", "factors of 0.1..10")
        require(1 <= self.multiple <= 1024, "place.multiple", "1..1024")

    @property
    def canvas(self) -> Size:
        return self.size

    def of_box(self, box: NDArray[Any], image_size: Size) -> WarpedFrame:
        """The Frame of a box (4,) xyxy px.

        A side of 0 counts as 1 px. A box outside the image gives a black crop. Raises UsageError for a box with a
        negative side, or one that is not finite or beyond any image.
        """
        x1, y1, x2, y2 = (float(value) for value in box)
        if not np.abs((x1, y1, x2, y2)).max() <= FARTHEST:
            raise UsageError(
                f"box {x1:g} {y1:g} {x2:g} {y2:g}: not finite, or beyond any image; give x1 y1 x2 y2 in px"
            )
        if x2 < x1 or y2 < y1:
            raise UsageError(f"box {x1:g} {y1:g} {x2:g} {y2:g}: ends before it begins; give x1 y1 x2 y2 in px")
        height, width = self.size
        sides = zip((x1, y1), (x2, y2), self.enlarge, strict=True)
        w, h = (max(1.0, end - begin) * factor for begin, end, factor in sides)
        aspect = width / height
        size = (w, w / aspect) if w > h * aspect else (h * aspect, h)
        return WarpedFrame(image_size, self.size, ((x1 + x2) / 2, (y1 + y2) / 2), size, self.spacing)

    def whole(self, image_size: Size, scale: float = 1.0, least_scale: float = 1.0) -> WarpedFrame:
        return self.of_box(np.array([0, 0, image_size[1], image_size[0]]), image_size)

    def typical(self, image_size: Size) -> Sequence[WarpedFrame]:
        """The Frames of a box in the middle of the image and of one that extends beyond it."""
        height, width = image_size
        boxes = np.array([[0.3, 0.1, 0.6, 0.9], [-0.2, 0.2, 0.4, 0.8]]) * [width, height, width, height]
        return [self.of_box(box, image_size) for box in boxes]

    def small(self) -> "Crop":
        return self

    def fixed(self, canvas: Size) -> "Crop":
        check_canvas(canvas, self.multiple)
        return replace(self, size=canvas)

    def extremes(self, scales: Sequence[float]) -> tuple[Size, Size, Size]:
        return self.size, self.size, self.size

    @property
    def label(self) -> str:
        return f"{self.size[0]}x{self.size[1]} px"
