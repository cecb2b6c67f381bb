"""Resizes and pads a whole image, for detectors."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.parse import require
from ..system.errors import InputError
from .geometry import USUAL_IMAGE, Frame, Geometry, Image, Normalization, Pixel, Size, check_canvas

LONGEST = 16384
"""The largest side of a canvas in px."""
_LARGEST_KEPT = 1280  # px, the largest side to expect of images that are not resized
_SHORT_SIDE = 256

Filter = Literal["opencv", "float", "cubic", "antialias", "warp"]


@dataclass(frozen=True)
class Pad:
    """The padding of a resized image.

    The canvas has the size `canvas` = (height, width), or each side is padded by `rule` with m = `multiple`: "ceil"
    pads to the next multiple of m; "or" pads to side | (m - 1), as in CornerNet; "or+1" to one px more, as in
    CenterNet. "nearest" is the nearest multiple, for images that are stretched to their canvas. Padding is at the right
    and the bottom, or on all sides if `centered`. Its value is 0 after the normalisation, or `value` before it.
    """

    canvas: tuple[int, int] | None = None
    multiple: int = 1
    rule: Literal["ceil", "or", "or+1", "nearest"] = "ceil"
    centered: bool = False
    value: float | None = None

    def __post_init__(self) -> None:
        height, width = self.canvas or (1, 1)
        require(1 <= height <= LONGEST and 1 <= width <= LONGEST, "pad.canvas", f"sides of 1..{LONGEST} px")
        require(1 <= self.multiple <= 1024, "pad.multiple", "1..1024")
        is_power = self.multiple & (self.multiple - 1) == 0
        require(
            self.rule in ("ceil", "nearest") or is_power, "pad.multiple", f'a power of two, to pad to "{self.rule}"'
        )

    def size_for(self, resized: Size) -> Size:
        """The canvas (height, width) of a resized image of this size."""
        if self.canvas is not None:
            return self.canvas
        return self.side_for(resized[0]), self.side_for(resized[1])

    def side_for(self, side: int) -> int:
        """The padded length of a side."""
        if self.rule == "nearest":
            return max(1, round(side / self.multiple)) * self.multiple
        if self.rule == "ceil":
            return -(-side // self.multiple) * self.multiple
        return (side | (self.multiple - 1)) + (self.rule == "or+1")


@dataclass(frozen=True)
class ResizedFrame(Frame):
    """A resized image on its canvas. Sizes are (height, width) px; `offset` is (top, left).

    `fill_value` is the value of the padding before the normalisation, or None for 0 after it. `filter` is that of
    Resize, and `factor` its factor if results are divided by that.
    """

    image_size: Size
    resized_size: Size
    canvas_size: Size
    offset: tuple[float, float] = (0, 0)
    fill_value: float | None = None
    filter: Filter = "opencv"
    factor: float | None = None

    @property
    def content_size(self) -> Size:
        return self.resized_size

    @property
    def corner(self) -> tuple[int, int]:
        """`offset` in whole px, which only the filter "warp" does not have."""
        return int(self.offset[0]), int(self.offset[1])

    def full(self) -> "ResizedFrame":
        size = self.canvas_size
        return replace(self, image_size=size, resized_size=size, offset=(0, 0), factor=None)

    @property
    def scale(self) -> tuple[float, float]:
        """The px of the canvas per px of the image, in x and y."""
        if self.factor is not None:
            return self.factor, self.factor
        return self.resized_size[1] / self.image_size[1], self.resized_size[0] / self.image_size[0]

    def to_canvas(self, points: NDArray[Any]) -> NDArray[np.float32]:
        return (points * np.array(self.scale) + np.array(self.offset[::-1])).astype(np.float32)

    def fill(self, canvas: NDArray[Pixel], image: Image, pixels: Normalization, threads: int) -> None:
        """Resize, normalise and pad. The resize equals OpenCV's 8-bit resize, as in the reference pipelines.

        Values are rounded for a float16 canvas, and rounded and clipped to 0..255 for a uint8 canvas.
        """
        fill = self.padding(pixels)
        if self.filter == "float":
            self._fill_in_floats(canvas, image, pixels, fill)
            return
        whole = np.ascontiguousarray(image)
        if self.filter == "warp":
            (x, y), (top, left) = self.scale, self.offset
            matrix = np.array([[[1 / x, 0, -left / x], [0, 1 / y, -top / y]]])
            values = np.empty(canvas.shape, np.float32)
            _native.crop(whole, matrix, values[None], pixels.mean, pixels.std, pixels.swaps)
            _store(canvas, values)
            return
        if self.filter == "cubic":
            whole = np.asarray(cv2.resize(whole, self.resized_size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
        elif self.filter == "antialias":
            resized = np.empty((*self.resized_size, 3), np.uint8)
            _native.antialias(whole, resized)
            whole = resized
        _native.resize(
            whole, canvas, self.resized_size, self.corner, pixels.mean, pixels.std, fill, pixels.swaps, threads
        )

    def padding(self, pixels: Normalization) -> tuple[float, float, float]:
        """The padding value of each channel of the canvas."""
        if self.fill_value is None:
            return 0.0, 0.0, 0.0
        first, second, third = (
            (self.fill_value - mean) / std for mean, std in zip(pixels.mean, pixels.std, strict=True)
        )
        return first, second, third

    def _fill_in_floats(
        self, canvas: NDArray[Pixel], image: Image, pixels: Normalization, fill: tuple[float, float, float]
    ) -> None:
        height, width = self.resized_size
        resized = cv2.resize(image.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        planes = resized[..., ::-1] if pixels.swaps else resized
        normal = (planes - np.array(pixels.mean, np.float32)) / np.array(pixels.std, np.float32)
        top, left = self.corner
        values = np.empty(canvas.shape, np.float32)
        values[...] = np.array(fill, np.float32)[:, None, None]
        values[:, top : top + height, left : left + width] = normal.transpose(2, 0, 1)
        _store(canvas, values)


def _store(canvas: NDArray[Pixel], values: NDArray[np.float32]) -> None:
    """Write values to a canvas, rounded and clipped if it holds whole numbers."""
    canvas[...] = np.floor(np.clip(values, 0, 255) + 0.5) if canvas.dtype == np.uint8 else values


@dataclass(frozen=True)
class Resize(Geometry):
    """The image resized to `size`, then padded.

    `size` is the largest (height, width), or with `by` "edges" the largest (short, long) side; None keeps the size of
    the image, but enlarges it to a short side of `least` px. The image keeps its aspect ratio, or without `keep_aspect`
    becomes exactly `size`, or if that is None the canvas that it would be padded to. Its sides are rounded to the
    nearest px, or down with `rounding` "floor", which moves boxes. Results are divided by the ratio of the sizes, or
    with `inverse` "factor", as in YOLOX, by the factor before the rounding, or with "height", as in InsightFace, by the
    ratio of the heights. `filter` "opencv" is OpenCV's bilinear filter on 8-bit values, "cubic" its bicubic one;
    "antialias" is Pillow's bilinear filter, which averages pixels when it reduces, as in Detectron2; "float" is a
    bilinear filter on floats, as in torchvision's transforms. "warp" is OpenCV's affine warp, which aligns the centres
    of the first pixels instead of their corners; its padding is black, and its centring is to parts of px.
    """

    size: tuple[int, int] | None = None
    by: Literal["sides", "edges"] = "sides"
    keep_aspect: bool = True
    rounding: Literal["round", "floor"] = "round"
    filter: Filter = "opencv"
    pad: Pad = field(default_factory=Pad)
    inverse: Literal["sizes", "factor", "height"] = "sizes"
    least: int = 1
    kind: Literal["resize"] = "resize"

    def __post_init__(self) -> None:
        first, second = self.size or (1, 1)
        require(1 <= first <= LONGEST and 1 <= second <= LONGEST, "place.size", f"sides of 1..{LONGEST} px")
        require(self.by == "sides" or first <= second, "place.size", "short side first")
        require(self.by == "sides" or self.size is not None, "place.size", "a short and a long side")
        require(self.keep_aspect or self.by == "sides", "place.size", "a height and a width")
        require(1 <= self.least <= LONGEST, "place.least", f"1..{LONGEST} px")
        require(self.pad.rule != "nearest" or not self.keep_aspect, "place.pad.rule", "a rule that only adds px")
        require(self.filter != "warp" or self.pad.value == 0, "place.pad.value", "0 with the filter warp")
        require(self.keep_aspect or self.inverse == "sizes", "place.inverse", "sizes, if the aspect is not kept")

    @property
    def canvas(self) -> Size | None:
        if self.pad.canvas is None and not self.keep_aspect and self.size is not None:
            return self.pad.size_for(self.size)
        return self.pad.canvas

    def whole(self, image_size: Size, scale: float = 1.0, least_scale: float = 1.0) -> ResizedFrame:
        height, width = image_size
        resized = self._resized(height, width, scale)
        canvas = self.pad.size_for(resized)
        if resized[0] > canvas[0] or resized[1] > canvas[1]:
            shapes = f"{resized[1]}x{resized[0]} px, more than the canvas of {canvas[1]}x{canvas[0]} px"
            raise InputError(f"image of {width}x{height} px: it would become {shapes}; split it into parts")
        offset = (0, 0)
        if self.pad.centered:  # aligns the middle pixels, size // 2, of both
            offset = canvas[0] // 2 - resized[0] // 2, canvas[1] // 2 - resized[1] // 2
        factor = None
        if self.inverse != "sizes":
            factor = self._factor(height, width) * scale if self.inverse == "factor" else resized[0] / height
        if self.pad.centered and self.filter == "warp":
            sides = resized if factor is None else (height * factor, width * factor)
            offset = (canvas[0] - sides[0]) / 2, (canvas[1] - sides[1]) / 2
        return ResizedFrame(image_size, resized, canvas, offset, self.pad.value, self.filter, factor)

    def _resized(self, height: int, width: int, scale: float) -> Size:
        """The size of the image on the canvas. An extreme aspect ratio may round a side to 0, which becomes 1."""
        half = 0.5 if self.rounding == "round" else 0.0
        if self.size is None and not self.keep_aspect:
            factor = self._factor(height, width) * scale
            return self.pad.size_for((max(1, int(height * factor + half)), max(1, int(width * factor + half))))
        if self.size is not None and not self.keep_aspect:
            # A factor would be inexact: in floats, 97 * (800 / 97) is less than 800.
            return max(1, int(self.size[0] * scale + half)), max(1, int(self.size[1] * scale + half))
        factor = self._factor(height, width) * scale
        return max(1, int(height * factor + half)), max(1, int(width * factor + half))

    def _factor(self, height: int, width: int) -> float:
        """The px of the canvas per px of the image, before rounding."""
        if self.size is None:
            return max(1.0, self.least / min(height, width))
        first, second = self.size
        if self.by == "edges":
            return min(second / max(height, width), first / min(height, width))
        return min(first / height, second / width)

    def small(self) -> "Resize":
        if self.by == "sides" or self.size is None:
            return self
        short = min(self.size[0], _SHORT_SIDE)
        return replace(self, size=(short, min(self.size[1], 2 * short)))

    def fixed(self, canvas: Size) -> "Resize":
        check_canvas(canvas, self.pad.multiple, self.pad.rule == "or")
        return replace(self, size=canvas, by="sides", pad=replace(self.pad, canvas=canvas))

    def extremes(self, scales: Sequence[float]) -> tuple[Size, Size, Size]:
        if self.canvas is not None:
            return self.canvas, self.canvas, self.canvas
        usual = self.whole(USUAL_IMAGE).canvas_size
        least = self.least if self.size is None else 1
        # A square of the longest side covers both wide and tall images.
        long = int((_LARGEST_KEPT if self.size is None else max(self.size)) * max(scales))
        smallest, largest = self.pad.size_for((least, least)), self.pad.size_for((long, long))
        return smallest, usual, largest

    def makes(self, side: int) -> bool:
        """Whether padding can give a side of this length, from this side or from one px less."""
        return self.canvas is not None or side in (self.pad.side_for(side), self.pad.side_for(max(1, side - 1)))

    @property
    def padding(self) -> str:
        return "" if self.canvas is not None else f"padded to {self.pad.multiple}"

    @property
    def label(self) -> str:
        if self.size is None:
            return "as it is"
        return f"{self.size[0]}{'-' if self.by == 'edges' else 'x'}{self.size[1]} px"
