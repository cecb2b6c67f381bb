"""Parts of an image to network inputs, for poses: where they lie, and their pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from .card import Input
from .errors import InputError, UsageError
from .preprocess import Image

FARTHEST = 1e6
"""Px from the image's origin: no image is that large."""
LONGEST = 16384
"""Px of a canvas on either side."""


@dataclass(frozen=True)
class Crop:
    """A rectangle of the image and the canvas that it is warped onto.

    `centre` (x, y) and `size` (w, h) are px of the image, `canvas_size` is (height, width) px. A canvas of W px is as
    wide as `size`, or where `spacing` its W - 1 steps from the first pixel's centre to the last one's are.
    """

    centre: tuple[float, float]
    size: tuple[float, float]
    canvas_size: tuple[int, int]
    spacing: bool

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(2, 3): px of the canvas to px of the image."""
        origin, size = self._rectangle
        steps = np.maximum(1, np.array(self.canvas_size[::-1]) - self.spacing)
        return np.concatenate((np.diag(size / steps), origin[:, None]), 1)

    def to_image(self, parts: NDArray[Any]) -> NDArray[np.float32]:
        """Positions (..., 2) xy as parts of the canvas, 0..1, to px of the image."""
        origin, size = self._rectangle
        return (parts * size + origin).astype(np.float32)

    @property
    def _rectangle(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        size = np.array(self.size, np.float64)
        return np.array(self.centre) - size / 2, size


def crop_for(box: NDArray[Any], spec: Input) -> Crop:
    """The crop of a person: the box (4,) xyxy px, both sides enlarged, then the shorter widened to the input's aspect.

    With plain lengths as in SimpleBaseline, HRNet, MSPN, RSN and G-RMI, with `spacing` as in UDP. A box without extent
    counts as one px; one outside the image gives a black crop. UsageError for a side below zero and for what is not
    finite or farther than any image reaches.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    if not np.abs((x1, y1, x2, y2)).max() <= FARTHEST:
        raise UsageError(f"box {x1:g} {y1:g} {x2:g} {y2:g}: not finite, or beyond any image; give x1 y1 x2 y2 in px")
    if x2 < x1 or y2 < y1:
        raise UsageError(f"box {x1:g} {y1:g} {x2:g} {y2:g}: ends before it begins; give x1 y1 x2 y2 in px")
    height, width = _size(spec)
    w, h = (max(1.0, end - begin) * factor for begin, end, factor in zip((x1, y1), (x2, y2), spec.enlarge, strict=True))
    aspect = width / height
    size = (w, w / aspect) if w > h * aspect else (h * aspect, h)
    return Crop(((x1 + x2) / 2, (y1 + y2) / 2), size, (height, width), spec.spacing)


def crop_whole(image_size: tuple[int, int], spec: Input, scale: float = 1.0, least_scale: float = 1.0) -> Crop:
    """The whole image of (height, width) px on a canvas that covers `spec.size` times `scale`.

    The sides are whole multiples of `pad_multiple` at `least_scale`, the smallest of the scales at which an image runs,
    and from there on proportional, so that all scales show the same rectangle. It is larger than the image on one
    axis, on both ends as in BottomupResize of mmpose 1.x, which unlike HigherHRNet does not round the centre, or with
    `spacing` on the far end as in mmpose 0.x. InputError when a side becomes too long.
    """
    least = [int(-(-least_scale * side // spec.pad_multiple)) * spec.pad_multiple for side in _size(spec)]
    axis = 0 if image_size[1] * least[0] > image_size[0] * least[1] else 1  # the one that fits exactly
    # In whole numbers: the quotient of two floats may end just above a multiple.
    other = -(-least[axis] * image_size[1 - axis] // (image_size[axis] * spec.pad_multiple)) * spec.pad_multiple
    least[1 - axis] = other
    lengths = [side - spec.spacing for side in least]
    extent = max(1, image_size[axis] - spec.spacing)
    height, width = (extent * length / lengths[axis] for length in lengths)
    centre = (width / 2, height / 2) if spec.spacing else (image_size[1] / 2, image_size[0] / 2)
    canvas = int(least[0] * scale / least_scale), int(least[1] * scale / least_scale)
    if max(canvas) > LONGEST:
        shape = f"{image_size[1]}x{image_size[0]}"
        raise InputError(
            f"image of {shape} px: too oblong, it would become {canvas[1]}x{canvas[0]} px; cut it in parts"
        )
    return Crop(centre, (width, height), canvas, spec.spacing)


def crops_into(canvases: NDArray[np.float32], image: Image, crops: Sequence[Crop], spec: Input) -> None:
    """The pixels of crops of one image (h, w, 3) uint8 BGR into canvases (n, 3, h, w), normalised as the Card says.

    Bilinear, and black outside the image, with the 8-bit results of OpenCV 4's warpAffine: weights of 1/32 px, rounded
    to whole levels before the normalisation, as networks saw them in training.
    """
    if not crops:
        return
    matrices = np.stack([crop.matrix for crop in crops])
    _native.crop(np.ascontiguousarray(image), matrices, canvases, spec.mean, spec.std, spec.color == "rgb")


def _size(spec: Input) -> tuple[int, int]:
    if spec.size is None:
        raise UsageError("this input has no size to crop to; the Card's input.size is missing")
    return spec.size
