"""Preprocessing of images on the GPU, with the same results as on the CPU to the bit."""

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
    """Images for a backend to preprocess, with their Frames. All canvases have the same size."""

    images: Sequence[Image]
    frames: Sequence[ResizedFrame]
    pixels: Normalization

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (n, 3, h, w) of the network's input."""
        return len(self.images), 3, *self.frames[0].canvas_size

    @property
    def size(self) -> int:
        """The size of all images in bytes."""
        return sum(image.nbytes for image in self.images)

    def __getitem__(self, part: slice) -> "ImageBatch":
        return ImageBatch(self.images[part], self.frames[part], self.pixels)

    def filled_up(self, missing: int) -> "ImageBatch":
        """The batch padded with `missing` copies of the first image."""
        images, frames = (*self.images, *[self.images[0]] * missing), (*self.frames, *[self.frames[0]] * missing)
        return ImageBatch(images, frames, self.pixels)

    def write(self, pixels: NDArray[np.uint8]) -> None:
        """Copy all images, one after the other in row order, to a buffer of `size` bytes."""
        start = 0
        for image in self.images:
            np.copyto(pixels[start : start + image.nbytes].reshape(image.shape), image)
            start += image.nbytes


def input_kernel(dtype: str) -> Library | None:
    """The library that preprocesses on the GPU; None if it was not built or does not support the dtype.

    The CPU preprocesses then. The network runs on the requested GPU in both cases.
    """
    path = library("detforge_cuda")
    return None if path is None or dtype not in DTYPES else Library(path)


def fill(kernel: Library, canvases: Buffer, dtype: Any, images: ImageBatch, pixels: int, stream: int) -> None:
    """Preprocess a batch on the current GPU into `canvases` (n, 3, h, w), asynchronously on a CUDA stream.

    `pixels` is the device address of the data from `ImageBatch.write`. The results equal those of `ResizedFrame.fill`.
    Raises DetforgeError if the GPU fails.
    """
    canvas, norm = canvases.shape[1:], images.pixels
    step, address = int(np.prod(canvas)) * np.dtype(dtype).itemsize, canvases.address
    for image, frame in zip(images.images, images.frames, strict=True):
        planes = norm.mean, norm.std, frame.padding(norm)
        picture = Picture(Buffer(pixels, image.shape), frame.resized_size, frame.corner, *planes, norm.swaps)
        try:
            kernel.preprocess_cuda(picture, np.dtype(dtype).name, Buffer(address, canvas), stream)
        except ValueError as error:
            raise DetforgeError(f"the GPU cannot preprocess; {error}; see detexport --doctor") from None
        pixels, address = pixels + image.nbytes, address + step
