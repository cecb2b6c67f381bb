"""Cuts a square around a box from an image and resizes it, as CDPN's authors do."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .crop import Crop, WarpedFrame
from .geometry import Image, Normalization, Pixel, Size


@dataclass(frozen=True)
class ZoomedFrame(WarpedFrame):
    """A square of whole px of the image, of which `corner` (x, y) is the first, and the canvas it is resized onto.

    `centre` is the middle of the square after its top, left and bottom were clipped to the image, as in the authors'
    code, and `box` the (w, h) px of the box.
    """

    corner: tuple[int, int] = (0, 0)
    box: tuple[float, float] = (1.0, 1.0)

    def full(self) -> "ZoomedFrame":
        height, width = self.canvas_size
        size = (float(width), float(height))
        middle = (width / 2, height / 2)
        return replace(self, image_size=self.canvas_size, centre=middle, size=size, corner=(0, 0), box=size)

    def fill(self, canvas: NDArray[Pixel], image: Image, pixels: Normalization, threads: int) -> None:
        """Resize bilinearly in floats, with black outside the image, and normalise."""
        side, (left, top) = int(self.size[0]), self.corner
        rows, columns = (slice(max(0, start), max(0, start + side)) for start in (top, left))
        seen = image[rows, columns]
        square = np.zeros((side, side, 3), np.float32)
        square[rows.start - top :, columns.start - left :][: seen.shape[0], : seen.shape[1]] = seen
        resized = cv2.resize(square, self.canvas_size[::-1], interpolation=cv2.INTER_LINEAR)
        planes = resized[..., ::-1] if pixels.swaps else resized
        canvas[...] = ((planes - np.array(pixels.mean)) / np.array(pixels.std)).transpose(2, 0, 1)


@dataclass(frozen=True)
class Zoom(Crop):
    """The square around a box, its longer side times the larger of `enlarge`, at most the longer side of the image.

    The middle and the side are cut down to whole px (CDPN: Li et al., ICCV 2019, section 3.1).
    """

    kind: Literal["crop", "zoom", "frustum"] = "zoom"

    def of_box(self, box: NDArray[Any], image_size: Size) -> ZoomedFrame:
        plain = super().of_box(box, image_size)
        x1, y1, x2, y2 = (float(value) for value in box)
        across, down = max(1.0, x2 - x1), max(1.0, y2 - y1)
        side = max(1, int(min(max(across, down) * max(self.enlarge), max(image_size))))
        left, top = (int(int(middle) - side / 2 + 0.5) for middle in plain.centre)
        right, bottom = left + side, min(top + side, image_size[0])
        centre = (max(left, 0) + right) / 2, (max(top, 0) + bottom) / 2
        size = (float(side), float(side))
        return ZoomedFrame(image_size, self.size, centre, size, False, None, (left, top), (across, down))
