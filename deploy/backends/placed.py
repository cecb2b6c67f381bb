"""Network inputs that a kernel on the GPU makes of images, with the bytes that the CPU would give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...plugins.core.abi import DTYPES, Buffer, Library, Picture
from ...plugins.core.libraries import library
from ..card import Input
from ..errors import DetforgeError
from ..preprocess import Frame, Image, padding_values


@dataclass(frozen=True)
class PlacedImages:
    """A batch that is still to be made: images, and how each lies on its canvas, all of one size."""

    images: Sequence[Image]
    frames: Sequence[Frame]
    spec: Input

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the network's input, (n, 3, h, w)."""
        return len(self.images), 3, *self.frames[0].canvas_size

    @property
    def size(self) -> int:
        """The bytes of all pixels."""
        return sum(image.nbytes for image in self.images)

    def __getitem__(self, part: slice) -> "PlacedImages":
        return PlacedImages(self.images[part], self.frames[part], self.spec)

    def filled_up(self, missing: int) -> "PlacedImages":
        """With the first image again for each that is missing."""
        images, frames = (*self.images, *[self.images[0]] * missing), (*self.frames, *[self.frames[0]] * missing)
        return PlacedImages(images, frames, self.spec)

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


def fill(kernel: Library, canvases: Buffer, dtype: Any, placed: PlacedImages, pixels: int, stream: int) -> None:
    """Make a batch (n, 3, h, w) on the current GPU, in order on a stream, of what `write` gave, at `pixels` there.

    What it holds is what `preprocess_into` says.
    """
    spec = placed.spec
    canvas = canvases.shape[1:]
    planes, swap = (spec.mean, spec.std, padding_values(spec)), spec.color == "rgb"
    step, address = int(np.prod(canvas)) * np.dtype(dtype).itemsize, canvases.address
    for image, frame in zip(placed.images, placed.frames, strict=True):
        picture = Picture(Buffer(pixels, image.shape), frame.resized_size, frame.offset, *planes, swap)
        try:
            kernel.preprocess_cuda(picture, np.dtype(dtype).name, Buffer(address, canvas), stream)
        except ValueError as error:
            raise DetforgeError(f"the GPU cannot preprocess; {error}; see detexport --doctor") from None
        pixels, address = pixels + image.nbytes, address + step
