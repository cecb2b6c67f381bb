"""The inputs of a network: what each is made from, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..contract.parse import require
from ..contract.port import Port
from ..system.errors import UsageError
from .canvases import Canvases
from .cover import Cover
from .crop import FARTHEST, Crop, WarpedFrame, fill_warped
from .geometry import Frame, Image, Normalization, Size
from .image_batch import ImageBatch
from .resize import Resize, ResizedFrame


@dataclass(frozen=True)
class View:
    """What a network looks at: an image (h, w, 3) uint8 BGR and how it lies on its canvas.

    A pair has a second image `other`, which lies there the same way. A network that refines poses also takes a given
    pose `keypoints` (k, 3): x, y in px of the image and a score.
    """

    image: Image
    frame: Frame
    other: Image | None = None
    keypoints: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class ImageInput:
    """Pixels (n, 3, h, w) float32: an image, placed on its canvas by `place`, then normalised.

    mean and std are in the channel order `color`, on the scale 0..255. `second` takes the other image of a pair.
    """

    place: Resize | Crop | Cover
    color: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    second: bool = False
    name: str = "image"
    kind: Literal["image"] = "image"

    def __post_init__(self) -> None:
        require(bool(self.name), "inputs.name", "a name")
        require(all(s > 0 for s in self.std), "inputs.std", "positive values")

    def placed(self, **changes: Any) -> "ImageInput":
        """The same input with changes to its geometry."""
        return replace(self, place=replace(self.place, **changes))

    @property
    def pixels(self) -> Normalization:
        """What happens to the values."""
        return Normalization(self.color, self.mean, self.std)

    def shape(self, canvas: Size) -> tuple[int, ...]:
        """Of one view on a canvas of (height, width) px."""
        return (3, *canvas)

    def fill(self, batch: NDArray[Any], views: Sequence[View], threads: int) -> None:
        """Put every view in its row of a batch (n, 3, h, w)."""
        start = 0
        for _, same in groupby(views, lambda view: id(self.shown(view))):
            members = list(same)
            rows, image = batch[start : start + len(members)], self.shown(members[0])
            warped = [view.frame for view in members if isinstance(view.frame, WarpedFrame)]
            if len(warped) == len(members):  # all of an image's crops in one call
                fill_warped(rows, image, warped, self.pixels)
            else:
                for row, view in zip(rows, members, strict=True):
                    view.frame.fill(row, image, self.pixels, threads)
            start += len(members)

    def mirrored(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The same batch with left and right exchanged."""
        return np.ascontiguousarray(batch[..., ::-1])

    def typical(self, view: View, seed: int) -> View:
        """The view with what this input needs made up; the other image of a pair is the mirrored one."""
        return replace(view, other=np.ascontiguousarray(view.image[:, ::-1])) if self.second else view

    def shown(self, view: View) -> Image:
        """The image of a view that this input takes."""
        if not self.second:
            return view.image
        if view.other is None:
            raise UsageError("this network compares two images; give the other one with `against`")
        return view.other


@dataclass(frozen=True)
class SizeInput:
    """The (height, width) px of the image on its canvas, (n, 2) float32: two-stage networks clip boxes there."""

    name: str = "image_size"
    kind: Literal["size"] = "size"

    def shape(self, canvas: Size) -> tuple[int, ...]:
        """Of one view."""
        return (2,)

    def fill(self, batch: NDArray[Any], views: Sequence[View], threads: int) -> None:
        """Put every view's size in its row of a batch (n, 2)."""
        batch[...] = [view.frame.content_size for view in views]

    def mirrored(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The same sizes."""
        return batch

    def typical(self, view: View, seed: int) -> View:
        """The view as it is."""
        return view


@dataclass(frozen=True)
class PoseInput:
    """A given pose as maps (n, k, h, w) float32: `peak` times a Gaussian of `sigma` px at each keypoint.

    A keypoint whose score is not above `least_score` leaves its map empty. `mirrored_order` (k,) names for each
    keypoint the one in its place in a mirrored image.
    """

    mirrored_order: tuple[int, ...]
    sigma: float
    peak: float = 1.0
    least_score: float = 0.0
    name: str = "pose"
    kind: Literal["pose"] = "pose"

    def __post_init__(self) -> None:
        order = self.mirrored_order
        is_order = bool(order) and sorted(order) == list(range(len(order)))
        require(is_order, "inputs.mirrored_order", "every keypoint once")
        require(0 < self.sigma <= 64, "inputs.sigma", "px above 0, 64 at most")

    def shape(self, canvas: Size) -> tuple[int, ...]:
        """Of one view on a canvas of (height, width) px."""
        return (len(self.mirrored_order), *canvas)

    def fill(self, batch: NDArray[Any], views: Sequence[View], threads: int) -> None:
        """Put every view's maps in its row of a batch (n, k, h, w)."""
        for row, view in zip(batch, views, strict=True):
            if view.keypoints is None:
                raise UsageError("this network refines poses; give them with `keypoints`")
            if view.keypoints.shape != ((count := len(self.mirrored_order)), 3):
                raise UsageError(f"this network refines poses of {count} keypoints, each x, y and a score")
            places: NDArray[np.float32] = np.clip(view.frame.to_canvas(view.keypoints[:, :2]), -FARTHEST, FARTHEST)
            across, down = (self._bells(places[:, axis], size) for axis, size in ((0, row.shape[2]), (1, row.shape[1])))
            peaks = np.where(view.keypoints[:, 2] > self.least_score, self.peak, 0.0)
            row[...] = peaks[:, None, None] * down[:, :, None] * across[:, None, :]

    def _bells(self, centres: NDArray[np.float32], size: int) -> NDArray[np.float64]:
        """A Gaussian around each centre (k,), at pixels 0 to `size` - 1: (k, size)."""
        return np.exp(-((np.arange(size) - centres[:, None].astype(np.float64)) ** 2) / (2 * self.sigma**2))

    def mirrored(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The maps of the mirrored pose, in which left and right keypoints change places."""
        return np.ascontiguousarray(batch[:, self.mirrored_order, :, ::-1])

    def typical(self, view: View, seed: int) -> View:
        """The view with a made-up pose somewhere in the image."""
        random = np.random.default_rng(seed)
        places = random.uniform(0, view.image.shape[1::-1], (len(self.mirrored_order), 2))
        return replace(view, keypoints=np.concatenate((places, np.ones((len(places), 1))), 1).astype(np.float32))


NetworkInput = ImageInput | SizeInput | PoseInput


def feeds(
    inputs: Sequence[NetworkInput],
    views: Sequence[View],
    ports: Mapping[str, Port],
    canvases: Canvases,
    threads: int = 1,
) -> dict[str, Any]:
    """What a network is fed for views that share a canvas size, input by input.

    `ports` are the backend's inputs by name: a fixed batch is filled up with zeros, and a port that takes images gets
    an ImageBatch.
    """
    return {each.name: _feed(each, views, ports[each.name], canvases, threads) for each in inputs}


def mirrored(inputs: Sequence[NetworkInput], fed: Mapping[str, Any]) -> dict[str, Any]:
    """The same feeds with left and right of every canvas exchanged."""
    return {each.name: each.mirrored(fed[each.name]) for each in inputs}


def _feed(each: NetworkInput, views: Sequence[View], port: Port, canvases: Canvases, threads: int) -> Any:
    if port.takes_images and isinstance(each, ImageInput):
        frames = [v.frame for v in views if isinstance(v.frame, ResizedFrame) and not v.frame.in_floats]
        if len(frames) == len(views):
            return ImageBatch([each.shown(view) for view in views], frames, each.pixels)
    count = (port.shape[0] if port.shape else None) or len(views)
    batch = canvases.take(each.name, (count, *each.shape(views[0].frame.canvas_size)), port.dtype)
    each.fill(batch[: len(views)], views, threads)
    batch[len(views) :] = 0
    return batch
