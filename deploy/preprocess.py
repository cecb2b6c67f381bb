"""Image to network input: resize, normalise, pad, as the Card's `input` says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import _native
from .card import Input

Image = NDArray[np.uint8]
"""Pixels (h, w, 3), blue first, as OpenCV reads them."""

Pixel = np.float32 | np.float16 | np.uint8
"""What a network's input may hold."""


@dataclass(frozen=True)
class Frame:
    """How one image lies on the canvas: sizes as (height, width) px, its first pixel at `offset` = (top, left)."""

    image_size: tuple[int, int]
    resized_size: tuple[int, int]
    canvas_size: tuple[int, int]
    offset: tuple[int, int] = (0, 0)

    @property
    def scale(self) -> tuple[float, float]:
        """Model px per image px, in x and in y."""
        return self.resized_size[1] / self.image_size[1], self.resized_size[0] / self.image_size[0]


def frame_for(image_size: tuple[int, int], spec: Input) -> Frame:
    """Where an image of (height, width) px lands on its canvas."""
    h, w = image_size
    if spec.size is None:
        scale = 1.0
    elif spec.resize == "edges":
        short, long = spec.size
        scale = min(long / max(h, w), short / min(h, w))
    else:
        scale = min(spec.size[0] / h, spec.size[1] / w)
    # Rounded as OpenMMLab does, whose boxes ours must equal; an extreme aspect may round to nothing.
    resized = max(1, int(h * scale + 0.5)), max(1, int(w * scale + 0.5))
    if spec.resize == "canvas" and spec.size is not None:
        canvas = spec.size
    else:
        canvas = _padded(resized[0], spec), _padded(resized[1], spec)
    if not spec.centered:
        return Frame(image_size, resized, canvas)
    # The middle pixels meet; with an even and an odd side, that is a px before the middle.
    return Frame(image_size, resized, canvas, (canvas[0] // 2 - resized[0] // 2, canvas[1] // 2 - resized[1] // 2))


def preprocess(image: Image, spec: Input) -> tuple[NDArray[np.float32], Frame]:
    """One image (h, w, 3) uint8 BGR to the input (3, canvas h, canvas w) float32 and its frame."""
    frame = frame_for((image.shape[0], image.shape[1]), spec)
    canvas = np.empty((3, *frame.canvas_size), np.float32)
    preprocess_into(canvas, image, spec, frame)
    return canvas, frame


def preprocess_into(canvas: NDArray[Pixel], image: Image, spec: Input, frame: Frame, threads: int = 1) -> None:
    """`preprocess` into a given canvas, which a batch shares; large ones on several threads.

    The resize has the bytes of OpenCV's 8-bit bilinear one, as in the reference pipelines: another rounding moves
    detections. A float16 canvas holds the values rounded, a uint8 one rounded and cut to 0..255.
    """
    pixels, fill, swap = np.ascontiguousarray(image), padding_values(spec), spec.color == "rgb"
    _native.resize(pixels, canvas, frame.resized_size, frame.offset, spec.mean, spec.std, fill, swap, threads)


def padding_values(spec: Input) -> tuple[float, float, float]:
    """What each plane of the input holds around the image."""
    if spec.pad_value is None:
        return 0.0, 0.0, 0.0
    red, green, blue = ((spec.pad_value - mean) / std for mean, std in zip(spec.mean, spec.std, strict=True))
    return red, green, blue


def _padded(side: int, spec: Input) -> int:
    if spec.pad_to == "ceil":
        return -(-side // spec.pad_multiple) * spec.pad_multiple
    return (side | (spec.pad_multiple - 1)) + (spec.pad_to == "or+1")
