"""Images in, Instances out: what all pipelines have in common."""

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import ClassVar, overload

import numpy as np

from ..card import Card
from ..contract.port import Backend
from ..inputs.geometry import Image, Size
from ..inputs.listing import find_items
from ..inputs.sources import Picture, open_each
from ..results.instances import Instances
from ..system.errors import IncompatibleError, InputError, UsageError
from ..system.overlap import ahead
from .each import found_in_each


class Pipeline(ABC):
    """One or two networks with everything around them; safe to call from several threads."""

    takes_boxes: ClassVar[bool] = False
    """Whether each call needs the boxes to look at."""

    @property
    @abstractmethod
    def card(self) -> Card:
        """The Card of the network that finds things."""

    @overload
    def __call__(self, image: Image) -> Instances: ...
    @overload
    def __call__(self, image: Sequence[Image]) -> list[Instances]: ...
    def __call__(self, image: Image | Sequence[Image]) -> Instances | list[Instances]:
        """What is in one image (h, w, 3) uint8 BGR, or in each of a list of them.

        Images of a list run together where they can; the result never depends on what runs beside.
        """
        if isinstance(image, np.ndarray):
            return self.find(checked([image]))[0]
        return self.find(checked(image))

    def stream(self, source: str, batch: int = 1) -> Iterator[Instances]:
        """What is in every frame of a video, camera, folder or image, `batch` frames a run, in order.

        The next frames are read, and the network runs, while the caller works on what it has got. Each result has its
        file as `source` and, where that has several pictures, the number of its own as `frame`. A file of several that
        cannot be used is left out, with a warning; one alone raises InputError.
        """
        items = find_items(source).items

        def report(error: InputError) -> None:
            if len(items) == 1:
                raise error
            warnings.warn(str(error), stacklevel=2)

        pictures = open_each(items, report)
        groups = (group for group in iter(lambda: list(islice(pictures, batch)), []))
        found = ((group, found_in_each(group, self._find_in)) for group in ahead(groups, 1))
        for group, each in ahead(found, 1):
            for picture, one in zip(group, each, strict=True):
                if isinstance(one, InputError):
                    report(one)
                else:
                    yield replace(one, source=picture.name, frame=picture.index)

    def _find_in(self, pictures: list[Picture]) -> list[Instances]:
        return self([picture.image for picture in pictures])

    @abstractmethod
    def find(self, images: Sequence[Image]) -> list[Instances]:
        """The same for images that were checked; a network for boxes sees each whole image as its one box."""

    def find_tiled(self, image: Image, tile: int, overlap: float) -> Instances:
        """What is in the image and in overlapping tiles of it; UsageError where the network cannot do so."""
        raise UsageError(f"{self.card.model} is no detector of boxes, and only those run in tiles")

    def needed(self) -> Callable[[Size], Size]:
        """How many px (height, width) the network needs of an image's; UsageError where it may need all."""
        raise UsageError(f"{self.card.model} looks at parts of an image, so that it needs all pixels")


def checked(images: Sequence[Image]) -> Sequence[Image]:
    """The images; UsageError for one that is none."""
    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise UsageError(f"an image is (height, width, 3) uint8 BGR, not {image.shape} {image.dtype}")
    return images


def check_ports(backend: Backend, card: Card) -> None:
    """IncompatibleError unless the model takes the Card's inputs and gives what its form and suppression read."""
    lacking = {
        "output": card.missing({port.name for port in backend.outputs}),
        "input": sorted({each.name for each in card.inputs} - {port.name for port in backend.inputs}),
    }
    for kind, names in lacking.items():
        if names:
            raise IncompatibleError(
                f"the model lacks the {kind} {names[0]} that its Card names; export it anew with detexport"
            )


STAGES = ("pre", "infer", "post")


def no_time() -> dict[str, float]:
    """Seconds of each stage, to be added to."""
    return dict.fromkeys(STAGES, 0.0)


@contextmanager
def timed(timing: dict[str, float], stage: str) -> Generator[None]:
    """Adds the seconds of a block to a stage."""
    started = time.perf_counter()
    yield
    timing[stage] += time.perf_counter() - started
