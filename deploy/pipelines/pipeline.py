"""Images in, Instances out: what all pipelines have in common."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import ClassVar, overload

import numpy as np

from ..card import Card
from ..contract.port import Backend
from ..inputs.geometry import Image, Size
from ..inputs.sources import pictures
from ..results.instances import Instances
from ..system.errors import IncompatibleError, UsageError
from ..system.overlap import ahead


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

        The next frames are read, and the network runs, while the caller works on what it has got.
        """
        frames = pictures(source)
        groups = iter(lambda: [picture.image for picture in islice(frames, batch)], [])
        for found in ahead((self(group) for group in ahead((group for group in groups), 1)), 1):
            yield from found

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
