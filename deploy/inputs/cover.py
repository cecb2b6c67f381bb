"""Warps a whole image onto a canvas that covers a given size, for bottom-up networks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..contract.parse import require
from ..system.errors import InputError, UsageError
from .crop import WarpedFrame
from .geometry import USUAL_IMAGE, Geometry, Size, check_canvas
from .resize import LONGEST

_SMALL = 256
"""The canvas's size in px for verification; the weights are the same at any size."""


@dataclass(frozen=True)
class Cover(Geometry):
    """The whole image on a canvas that covers `size` = (height, width), with sides that are multiples of `multiple`.

    The image fits one axis exactly. On the other axis the canvas is larger than the image: at both ends as in
    BottomupResize of mmpose 1.x, or with `spacing` at the far end as in mmpose 0.x. `spacing` is as in Crop. With
    `inside` the canvas has exactly `size`, and the image lies in the middle of it.
    """

    size: tuple[int, int]
    multiple: int = 1
    spacing: bool = False
    inside: bool = False
    kind: Literal["cover"] = "cover"

    def __post_init__(self) -> None:
        require(all(1 <= side <= LONGEST for side in self.size), "place.size", f"sides of 1..{LONGEST} px")
        require(1 <= self.multiple <= 1024, "place.multiple", "1..1024")

    @property
    def canvas(self) -> Size | None:
        return self.size if self.inside else None

    def whole(self, image_size: Size, scale: float = 1.0, least_scale: float = 1.0) -> WarpedFrame:
        """The sides are multiples at the smallest scale and proportional at others, so all show the same rectangle.

        Raises InputError if a side becomes too long.
        """
        least = [int(-(-least_scale * side // self.multiple)) * self.multiple for side in self.size]
        is_wide = image_size[1] * least[0] > image_size[0] * least[1]
        axis = int(is_wide == self.inside)  # the one that fits exactly
        if not self.inside:
            # In integers, because a quotient of floats may be just above a multiple.
            other = -(-least[axis] * image_size[1 - axis] // (image_size[axis] * self.multiple)) * self.multiple
            least[1 - axis] = other
        lengths = [side - self.spacing for side in least]
        extent = max(1, image_size[axis] - self.spacing)
        height, width = (extent * length / lengths[axis] for length in lengths)
        # HigherHRNet rounds the centre; mmpose 1.x does not.
        centre = (width / 2, height / 2) if self.spacing else (image_size[1] / 2, image_size[0] / 2)
        canvas = int(least[0] * scale / least_scale), int(least[1] * scale / least_scale)
        if max(canvas) > LONGEST:
            shape = f"{image_size[1]}x{image_size[0]}"
            raise InputError(
                f"image of {shape} px: its aspect ratio is too extreme, it would become {canvas[1]}x{canvas[0]} px; "
                "split it into parts"
            )
        return WarpedFrame(image_size, canvas, centre, (width, height), self.spacing)

    def small(self) -> "Cover":
        return replace(self, size=(_SMALL, _SMALL))

    def fixed(self, canvas: Size) -> "Cover":
        if self.inside:
            check_canvas(canvas, self.multiple)
            return replace(self, size=canvas)
        raise UsageError("this network's canvas depends on the image's aspect ratio; leave out imgsz")

    def extremes(self, scales: Sequence[float]) -> tuple[Size, Size, Size]:
        """One side is that of `size`; the other depends on the image's aspect ratio, here at most 2 to 1."""
        tall, wide, usual = (
            [self.whole(size, scale, min(scales)).canvas_size for scale in scales]
            for size in ((1280, 640), (640, 1280), USUAL_IMAGE)
        )
        both = [*tall, *wide]
        smallest, largest = ((pick(h for h, _ in both), pick(w for _, w in both)) for pick in (min, max))
        return smallest, usual[scales.index(1.0)], largest

    @property
    def label(self) -> str:
        return f"{self.size[0]}x{self.size[1]} px"
