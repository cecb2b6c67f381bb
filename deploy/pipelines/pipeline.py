"""The base class of pipelines, which turn images into Instances."""

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, overload

from numpy.typing import ArrayLike

from ..card import Card
from ..contract.camera import Camera
from ..contract.parse import FieldError
from ..contract.skeleton import Skeleton
from ..inputs.geometry import GivenImage, Image, Size
from ..inputs.given import checked
from ..inputs.listing import find_items
from ..inputs.sources import Picture, open_each
from ..results.instances import Instances
from ..system.errors import InputError, UsageError
from ..system.overlap import ahead
from .each import found_in_each
from .tracking import Tracking

Rows = ArrayLike | Sequence[ArrayLike]
"""An array, or one for each image."""


class Pipeline(ABC):
    """One or two networks with preprocessing and postprocessing. Pipelines are thread-safe.

    `card` holds everything that the model file states.

    >>> detector = load("gfl_markers")
    >>> detector.card.labels
    ('qr_code', 'barcode', 'aruco', 'chessboard')
    """

    takes_boxes: bool = False
    """Whether each call needs boxes."""
    reopen: "Callable[[], Pipeline] | None" = None
    """Opens the same files again with the same options, in this or another process."""

    @property
    @abstractmethod
    def card(self) -> Card:
        """The Card of the network, or of the detector if there are two."""

    @property
    def last_card(self) -> Card:
        """The Card of the network that looks last: of two, that of the poses."""
        return self.card

    @property
    def takes_camera(self) -> bool:
        """Whether the network that looks last finds poses in space, if it knows the camera."""
        return self.last_card.form.takes_camera

    @property
    def takes_depth(self) -> bool:
        """Whether that network looks at points in space, which a depth picture shows."""
        return self.last_card.form.takes_depth

    @property
    def skeleton(self) -> Skeleton | None:
        """The skeleton of the poses that the pipeline finds, None without poses."""
        return self.card.reported_skeleton

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles and copies are made by opening the files again."""
        if self.reopen is None:
            raise TypeError("only pipelines that load() opened can be pickled or copied")
        return self.reopen, ()

    @overload
    def __call__(
        self,
        image: GivenImage,
        boxes: Any = ...,
        scores: Any = ...,
        *,
        against: Any = ...,
        camera: Any = ...,
        depth: Any = ...,
    ) -> Instances: ...
    @overload
    def __call__(
        self,
        image: Sequence[GivenImage],
        boxes: Any = ...,
        scores: Any = ...,
        *,
        against: Any = ...,
        camera: Any = ...,
        depth: Any = ...,
    ) -> list[Instances]: ...
    def __call__(
        self,
        image: GivenImage | Sequence[GivenImage],
        boxes: Rows | None = None,
        scores: Rows | None = None,
        *,
        against: GivenImage | Sequence[GivenImage] | None = None,
        camera: Any = None,
        depth: Any = None,
    ) -> Instances | list[Instances]:
        """The detections in one image (h, w, 3) uint8 BGR, or in each of a list.

        A top-down pose network takes `boxes` (n, 4) xyxy px, and maybe their `scores` (n,), 1 by default; it gives one
        result for each box, in their order, with the fusion of both scores. A network that compares two images takes
        the other image, of the same size, as `against`. A network that finds poses of rigid objects takes the `camera`,
        a Camera or its matrix (3, 3) in px, and one that looks at points in space also the `depth` (h, w) of the
        image's px in mm, 0 where it is not known. With a list of images, each of these is a list too. Images of a list
        run in batches where possible; the result does not depend on the batch. Raises UsageError for what is no image,
        box, camera or depth, or not for this network.

        >>> found = detector(image)
        >>> one, another = detector([image, image[:200]])
        >>> one.names[one.labels[0]], one.image_size, another.image_size
        ('qr_code', (320, 320), (320, 200))
        """
        given: dict[str, Any] = {"boxes": boxes, "scores": scores, "against": against}
        given |= {"camera": camera, "depth": depth}
        is_list = isinstance(image, list | tuple)
        images = checked(image if is_list else [image])
        every = given if is_list else {name: None if value is None else [value] for name, value in given.items()}
        found = self.find_with(images, **_lists(len(images), **every))
        return found if is_list else found[0]

    def stream(
        self, source: str | Path | int, batch: int = 1, *, track: bool = False, smooth: bool = False
    ) -> Iterator[Instances]:
        """Yield the detections in every frame of a video, camera, folder or image, in order.

        `batch` frames run together. The next frames are read and run while the caller uses the current results. Each
        result has its file as `source` and, if the file has several pictures, its index as `frame`. In a folder, a file
        that cannot be used is skipped with a warning; a single file raises InputError.

        With `track`, objects keep an identity through a video, the column `track_id`; it needs the extra `track`. With
        `smooth`, the keypoints of each track are smoothed too. Raises UsageError for pictures.

        >>> for found in detector.stream("photos"):
        ...     print(found.source, len(found))
        a.png 1
        b.png 1
        """
        items = find_items(str(source)).items
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

    def find_with(self, images: Sequence[Image], **given: Sequence[Any]) -> list[Instances]:
        """The detections in valid images, with further inputs of each image by name.

        Raises UsageError for inputs that the network does not take.
        """
        if given:
            raise UsageError(f"{self.card.model} does not take `{next(iter(given))}`; leave it out")
        return self.find(images)

    def find_tiled(self, image: Image, tile: int, overlap: float) -> Instances:
        """The detections in the image and in overlapping tiles of it. Raises UsageError if that is not supported."""
        raise UsageError(f"{self.card.model} is not a detector, and only detectors run in tiles")

    def needed(self) -> Callable[[Size], Size]:
        """A function from an image's size to the resolution that the network needs, both (height, width) px.

        Raises UsageError if the network may need the full resolution.
        """
        raise UsageError(f"{self.card.model} crops boxes of an image, so it needs the full resolution")


def _lists(count: int, **given: Any) -> dict[str, Sequence[Any]]:
    """The inputs that are not None. Raises UsageError if one is not a list with an entry for each image."""
    for name, each in given.items():
        if each is not None and len(each) != count:
            raise UsageError(f"{count} images need a list of as many {name}, not of {len(each)}")
    lists: dict[str, Sequence[Any]] = {name: each for name, each in given.items() if each is not None}
    if "camera" in lists:
        lists["camera"] = [_camera(one) for one in lists["camera"]]
    return lists


def _camera(value: Any) -> Camera:
    """The camera that was given as such or as a matrix."""
    try:
        return value if isinstance(value, Camera) else Camera.of(value)
    except FieldError as error:
        raise UsageError(f"camera: {error}") from None


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
