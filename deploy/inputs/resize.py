"""An image resized and padded: what detectors see."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.parse import require
from ..system.errors import InputError
from .geometry import USUAL_IMAGE, Frame, Geometry, Image, Normalization, Pixel, Size, check_canvas

LONGEST = 16384
"""Px of a canvas on either side."""
_LARGEST_KEPT = 1280  # px, of images that keep their size
_SHORT_SIDE = 256


@dataclass(frozen=True)
class Pad:
    """What surrounds a resized image.

    The canvas is `canvas` = (height, width), or each side is padded to a multiple of m = `multiple`: to the next one
    with the rule "ceil", to side | (m - 1) with "or", as in CornerNet, and to one px more with "or+1", as in
    CenterNet. Padding lies to the right and the bottom, or all around where `centered`. It is zero after the
    normalisation, or `value` before.
    """

    canvas: tuple[int, int] | None = None
    multiple: int = 1
    rule: Literal["ceil", "or", "or+1"] = "ceil"
    centered: bool = False
    value: float | None = None

    def __post_init__(self) -> None:
        height, width = self.canvas or (1, 1)
        require(1 <= height <= LONGEST and 1 <= width <= LONGEST, "pad.canvas", f"sides of 1..{LONGEST} px")
        require(1 <= self.multiple <= 1024, "pad.multiple", "1..1024")
        is_power = self.multiple & (self.multiple - 1) == 0
        require(self.rule == "ceil" or is_power, "pad.multiple", f'a power of two, to pad to "{self.rule}"')

    def size_for(self, resized: Size) -> Size:
        """The canvas (height, width) of an image of this size."""
        if self.canvas is not None:
            return self.canvas
        return self.side_for(resized[0]), self.side_for(resized[1])

    def side_for(self, side: int) -> int:
        """A side, padded to the multiple."""
        if self.rule == "ceil":
            return -(-side // self.multiple) * self.multiple
        return (side | (self.multiple - 1)) + (self.rule == "or+1")


@dataclass(frozen=True)
class ResizedFrame(Frame):
    """A resized image on its canvas: sizes as (height, width) px, its first pixel at `offset` = (top, left).

    `fill_value` is the padding's, before the normalisation, or None for zero after it. `in_floats` as in Resize.
    """

    image_size: Size
    resized_size: Size
    canvas_size: Size
    offset: tuple[int, int] = (0, 0)
    fill_value: float | None = None
    in_floats: bool = False

    @property
    def content_size(self) -> Size:
        return self.resized_size

    def full(self) -> "ResizedFrame":
        return replace(self, image_size=self.canvas_size, resized_size=self.canvas_size, offset=(0, 0))

    @property
    def scale(self) -> tuple[float, float]:
        """Model px per image px, in x and in y."""
        return self.resized_size[1] / self.image_size[1], self.resized_size[0] / self.image_size[0]

    def to_canvas(self, points: NDArray[Any]) -> NDArray[np.float32]:
        return (points * np.array(self.scale) + np.array(self.offset[::-1])).astype(np.float32)

    def fill(self, canvas: NDArray[Pixel], image: Image, pixels: Normalization, threads: int) -> None:
        """The resize has the bytes of OpenCV's 8-bit bilinear one, as in the reference pipelines.

        A float16 canvas holds the values rounded, a uint8 one rounded and cut to 0..255.
        """
        fill = self.padding(pixels)
        if self.in_floats:
            self._fill_in_floats(canvas, image, pixels, fill)
            return
        whole = np.ascontiguousarray(image)
        _native.resize(
            whole, canvas, self.resized_size, self.offset, pixels.mean, pixels.std, fill, pixels.swaps, threads
        )

    def padding(self, pixels: Normalization) -> tuple[float, float, float]:
        """The value of each plane of the canvas around the image."""
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
        top, left = self.offset
        canvas[...] = np.array(fill, np.float32)[:, None, None]
        canvas[:, top : top + height, left : left + width] = normal.transpose(2, 0, 1)


@dataclass(frozen=True)
class Resize(Geometry):
    """The image resized to `size`, then padded.

    `size` is what bounds the image: (height, width), or with `by` "edges" its (short, long) side; None keeps the
    image's own size. The image keeps its aspect, or without `keep_aspect` becomes exactly `size`. Its sides are
    rounded to the nearest px, or down with `rounding` "floor", which moves boxes. `filter` "opencv" is OpenCV's
    bilinear filter on 8-bit values, "float" a bilinear filter on floats, as torchvision's transforms have it.
    """

    size: tuple[int, int] | None = None
    by: Literal["sides", "edges"] = "sides"
    keep_aspect: bool = True
    rounding: Literal["round", "floor"] = "round"
    filter: Literal["opencv", "float"] = "opencv"
    pad: Pad = field(default_factory=Pad)
    kind: Literal["resize"] = "resize"
    mirrors_canvas: ClassVar[bool] = False

    def __post_init__(self) -> None:
        first, second = self.size or (1, 1)
        require(1 <= first <= LONGEST and 1 <= second <= LONGEST, "place.size", f"sides of 1..{LONGEST} px")
        require(self.by == "sides" or first <= second, "place.size", "short side first")
        require(self.by == "sides" or self.size is not None, "place.size", "a short and a long side")
        stretches = self.size is not None and self.by == "sides"
        require(self.keep_aspect or stretches, "place.size", "a height and a width")

    @property
    def canvas(self) -> Size | None:
        if self.pad.canvas is None and not self.keep_aspect and self.size is not None:
            return self.pad.size_for(self.size)
        return self.pad.canvas

    def whole(self, image_size: Size, scale: float = 1.0, least_scale: float = 1.0) -> ResizedFrame:
        height, width = image_size
        across, down = (factor * scale for factor in self._factors(height, width))
        # An extreme aspect may leave nothing of a side.
        half = 0.5 if self.rounding == "round" else 0.0
        resized = max(1, int(height * down + half)), max(1, int(width * across + half))
        canvas = self.pad.size_for(resized)
        if resized[0] > canvas[0] or resized[1] > canvas[1]:
            shapes = f"{resized[1]}x{resized[0]} px, more than the canvas of {canvas[1]}x{canvas[0]} px"
            raise InputError(f"image of {width}x{height} px: it would become {shapes}; cut it in parts")
        offset = (0, 0)
        if self.pad.centered:  # the middle pixels meet; of an even and an odd side, the one before the middle
            offset = canvas[0] // 2 - resized[0] // 2, canvas[1] // 2 - resized[1] // 2
        return ResizedFrame(image_size, resized, canvas, offset, self.pad.value, self.filter == "float")

    def _factors(self, height: int, width: int) -> tuple[float, float]:
        """Model px per image px, in x and in y, before rounding."""
        if self.size is None:
            return 1.0, 1.0
        first, second = self.size
        if not self.keep_aspect:
            return second / width, first / height
        if self.by == "edges":
            factor = min(second / max(height, width), first / min(height, width))
        else:
            factor = min(first / height, second / width)
        return factor, factor

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
        # A square as large as the longest side holds wide and tall images alike.
        long = int((_LARGEST_KEPT if self.size is None else max(self.size)) * max(scales))
        smallest, largest = self.pad.size_for((1, 1)), self.pad.size_for((long, long))
        return smallest, usual, largest

    def makes(self, side: int) -> bool:
        """Padding gives this side: of itself, or, where it always adds, of one px less."""
        return self.canvas is not None or side in (self.pad.side_for(side), self.pad.side_for(max(1, side - 1)))

    @property
    def padding(self) -> str:
        return "" if self.canvas is not None else f"padded to {self.pad.multiple}"

    @property
    def label(self) -> str:
        if self.size is None:
            return "as it is"
        return f"{self.size[0]}{'-' if self.by == 'edges' else 'x'}{self.size[1]} px"
