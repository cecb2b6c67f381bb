"""Images in, Instances out: what detectors and pose networks have in common."""

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import overload

import numpy as np

from .backends import Backend
from .card import COMPARES, Card
from .decode import READS
from .errors import IncompatibleError, UsageError
from .instances import Instances
from .overlap import ahead
from .preprocess import Image
from .sources import pictures


class Pipeline(ABC):
    """A network, or two, with everything around it; safe to call from several threads."""

    @overload
    def __call__(self, image: Image) -> Instances: ...
    @overload
    def __call__(self, image: Sequence[Image]) -> list[Instances]: ...
    def __call__(self, image: Image | Sequence[Image]) -> Instances | list[Instances]:
        """What is in one image (h, w, 3) uint8 BGR, or in each of a list of them.

        Images of a list run together where they can; the result never depends on what runs beside.
        """
        if isinstance(image, np.ndarray):
            return self._find(checked([image]))[0]
        return self._find(checked(image))

    def stream(self, source: str, batch: int = 1) -> Iterator[Instances]:
        """What is in every frame of a video, camera, folder or image, `batch` frames a run, in order.

        The next frames are read, and the network runs, while the caller works on what it has got.
        """
        frames = pictures(source)
        groups = iter(lambda: [picture.image for picture in islice(frames, batch)], [])
        for found in ahead((self(group) for group in ahead((group for group in groups), 1)), 1):
            yield from found

    @abstractmethod
    def _find(self, images: Sequence[Image]) -> list[Instances]:
        """The same for checked images."""


def checked(images: Sequence[Image]) -> Sequence[Image]:
    """The images, or a UsageError for one that is none."""
    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise UsageError(f"an image is (height, width, 3) uint8 BGR, not {image.shape} {image.dtype}")
    return images


def check_outputs(backend: Backend, card: Card) -> None:
    """IncompatibleError unless the model gives what the Card's decoder and suppression read."""
    names = {port.name for port in backend.outputs}
    compared = {COMPARES[card.suppress.kind]} if card.suppress.kind in COMPARES else set[str]()
    if missing := (READS[card.decode.kind] | compared) - names:
        raise IncompatibleError(
            f"the model lacks the output {sorted(missing)[0]} that its Card names; export it anew with detexport"
        )


@contextmanager
def timed(timing: dict[str, float], stage: str) -> Generator[None]:
    """Adds the seconds of a block to a stage."""
    started = time.perf_counter()
    yield
    timing[stage] += time.perf_counter() - started
