"""The base class of pipelines, which turn images into Instances."""

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
    """One or two networks with preprocessing and postprocessing. Pipelines are thread-safe."""

    takes_boxes: ClassVar[bool] = False
    """Whether each call needs boxes."""

    @property
    @abstractmethod
    def card(self) -> Card:
        """The Card of the network, or of the detector if there are two."""

    @overload
    def __call__(self, image: Image) -> Instances: ...
    @overload
    def __call__(self, image: Sequence[Image]) -> list[Instances]: ...
    def __call__(self, image: Image | Sequence[Image]) -> Instances | list[Instances]:
        """The detections in one image (h, w, 3) uint8 BGR, or in each of a list.

        Images of a list run in batches where possible; the result does not depend on the batch.
        """
        if isinstance(image, np.ndarray):
            return self.find(checked([image]))[0]
        return self.find(checked(image))

    def stream(self, source: str, batch: int = 1) -> Iterator[Instances]:
        """Yield the detections in every frame of a video, camera, folder or image, in order.

        `batch` frames run together. The next frames are read and run while the caller uses the current results.
        """
        frames = pictures(source)
        groups = iter(lambda: [picture.image for picture in islice(frames, batch)], [])
        for found in ahead((self(group) for group in ahead((group for group in groups), 1)), 1):
            yield from found

    @abstractmethod
    def find(self, images: Sequence[Image]) -> list[Instances]:
        """The detections in valid images. A network that needs boxes takes each whole image as a box."""

    def find_tiled(self, image: Image, tile: int, overlap: float) -> Instances:
        """The detections in the image and in overlapping tiles of it. Raises UsageError if that is not supported."""
        raise UsageError(f"{self.card.model} is not a detector, and only detectors run in tiles")

    def needed(self) -> Callable[[Size], Size]:
        """A function from an image's size to the resolution that the network needs, both (height, width) px.

        Raises UsageError if the network may need the full resolution.
        """
        raise UsageError(f"{self.card.model} crops boxes of an image, so it needs the full resolution")


def checked(images: Sequence[Image]) -> Sequence[Image]:
    """Return the images. Raises UsageError for one of the wrong shape or dtype."""
    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise UsageError(f"an image must be (height, width, 3) uint8 BGR, not {image.shape} {image.dtype}")
    return images


def check_ports(backend: Backend, card: Card) -> None:
    """Raise IncompatibleError if the model lacks an input of the Card, or an output that postprocessing reads."""
    lacking = {
        "output": card.missing({port.name for port in backend.outputs}),
        "input": sorted({each.name for each in card.inputs} - {port.name for port in backend.inputs}),
    }
    for kind, names in lacking.items():
        if names:
            raise IncompatibleError(
                f"the model lacks the {kind} {names[0]} that its Card names; export it again with detexport"
            )


STAGES = ("pre", "infer", "post")


def no_time() -> dict[str, float]:
    """0 seconds for each stage."""
    return dict.fromkeys(STAGES, 0.0)


@contextmanager
def timed(timing: dict[str, float], stage: str) -> Generator[None]:
    """Add the seconds that the block takes to a stage."""
    started = time.perf_counter()
    yield
    timing[stage] += time.perf_counter() - started
