"""Images that a kernel on the GPU preprocesses, with the bytes that the CPU would give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...plugins.core.abi import DTYPES, Buffer, Library, Picture
from ...plugins.core.libraries import library
from ..system.errors import DetforgeError
from .geometry import Image, Normalization
from .resize import ResizedFrame


@dataclass(frozen=True)
class ImageBatch:
    """Images that a backend preprocesses by itself, and how each lies on its canvas; all canvases have one size."""

    images: Sequence[Image]
    frames: Sequence[ResizedFrame]
    pixels: Normalization

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the network's input, (n, 3, h, w)."""
        return len(self.images), 3, *self.frames[0].canvas_size

    @property
    def size(self) -> int:
        """The bytes of all pixels."""
        return sum(image.nbytes for image in self.images)

    def __getitem__(self, part: slice) -> "ImageBatch":
        return ImageBatch(self.images[part], self.frames[part], self.pixels)

    def filled_up(self, missing: int) -> "ImageBatch":
        """With the first image again for each that is missing."""
        images, frames = (*self.images, *[self.images[0]] * missing), (*self.frames, *[self.frames[0]] * missing)
        return ImageBatch(images, frames, self.pixels)

    def write(self, pixels: NDArray[np.uint8]) -> None:
        """All pixels, image by image and row by row, into `size` bytes."""
        start = 0
        for image in self.images:
            np.copyto(pixels[start : start + image.nbytes].reshape(image.shape), image)
            start += image.nbytes


def input_kernel(dtype: str) -> Library | None:
    """The library that makes inputs of a dtype on the GPU; None where it was not built, or has no such dtype.

    The CPU makes them then. That is no other device than was asked for: the network runs on the GPU either way.
    """
    path = library("detforge_cuda")
    return None if path is None or dtype not in DTYPES else Library(path)


def fill(kernel: Library, canvases: Buffer, dtype: Any, images: ImageBatch, pixels: int, stream: int) -> None:
    """Make a batch (n, 3, h, w) on the current GPU, in order on a stream, of what `write` gave, at `pixels` there.

    It holds what `ResizedFrame.fill` puts there.
    """
    canvas, norm = canvases.shape[1:], images.pixels
    step, address = int(np.prod(canvas)) * np.dtype(dtype).itemsize, canvases.address
    for image, frame in zip(images.images, images.frames, strict=True):
        planes = norm.mean, norm.std, frame.padding(norm)
        picture = Picture(Buffer(pixels, image.shape), frame.resized_size, frame.offset, *planes, norm.swaps)
        try:
            kernel.preprocess_cuda(picture, np.dtype(dtype).name, Buffer(address, canvas), stream)
        except ValueError as error:
            raise DetforgeError(f"the GPU cannot preprocess; {error}; see detexport --doctor") from None
        pixels, address = pixels + image.nbytes, address + step
