"""The base class of pipelines, which turn images into Instances."""

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
from .tracking import Tracking


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

    def stream(self, source: str, batch: int = 1, *, track: bool = False, smooth: bool = False) -> Iterator[Instances]:
        """Yield the detections in every frame of a video, camera, folder or image, in order.

        `batch` frames run together. The next frames are read and run while the caller uses the current results. Each
        result has its file as `source` and, if the file has several pictures, its index as `frame`. In a folder, a file
        that cannot be used is skipped with a warning; a single file raises InputError.

        With `track`, objects keep an identity through a video, the column `track_id`; it needs the extra `track`. With
        `smooth`, the keypoints of each track are smoothed too. Raises UsageError for pictures.
        """
        items = find_items(source).items
        if smooth and not track:
            raise UsageError("smooth needs identities; use it with track")
        find = Tracking(items, smooth=smooth).after(self._find_in) if track else self._find_in

        def report(error: InputError) -> None:
            if len(items) == 1:
                raise error
            warnings.warn(str(error), stacklevel=2)

        pictures = open_each(items, report)
        groups = (group for group in iter(lambda: list(islice(pictures, batch)), []))
        found = ((group, found_in_each(group, find)) for group in ahead(groups, 1))
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
