"""The inputs of a network and how they are filled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..contract.camera import Camera
from ..contract.parse import require
from ..contract.port import Port
from ..system.errors import UsageError
from .canvases import Canvases
from .cover import Cover
from .crop import FARTHEST, Crop, WarpedFrame, fill_warped
from .frustum import Depth, Frustum, FrustumFrame
from .geometry import Frame, Image, Normalization, Size
from .image_batch import ImageBatch
from .resize import Resize, ResizedFrame
from .zoom import Zoom


@dataclass(frozen=True)
class View:
    """One image (h, w, 3) uint8 BGR for a network, and its Frame.

    `other` is the second image of a pair, which has the same Frame. `keypoints` (k, 3), x, y in px of the image and a
    score, are the given pose for networks that refine poses. `depth` (h, w) has the depth in mm of the image's px.
    """

    image: Image
    frame: Frame
    other: Image | None = None
    keypoints: NDArray[np.float32] | None = None
    depth: Depth | None = None


@dataclass(frozen=True)
class ImageInput:
    """Images (n, 3, h, w), placed on their canvases by `place` and normalised.

    `mean` and `std` are in the channel order `color`, on the scale 0..255. `second` selects the second image of a pair.
    """

    place: Resize | Crop | Cover | Zoom
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
        """The same input with changed fields of its geometry."""
        return replace(self, place=replace(self.place, **changes))

    @property
    def pixels(self) -> Normalization:
        """The normalisation of the pixels."""
        return Normalization(self.color, self.mean, self.std)

    def shape(self, canvas: Size) -> tuple[int, ...]:
        """The shape for one view on a canvas of (height, width) px."""
        return (3, *canvas)

    def fill(self, batch: NDArray[Any], views: Sequence[View], threads: int) -> None:
        """Write each view to its row of a batch (n, 3, h, w)."""
        start = 0
        for _, same in groupby(views, lambda view: id(self.shown(view))):
            members = list(same)
            rows, image = batch[start : start + len(members)], self.shown(members[0])
            # Frames of a derived class are filled in another way.
            warped = [view.frame for view in members if type(view.frame) is WarpedFrame]
            if len(warped) == len(members):  # all of an image's crops in one call
                fill_warped(rows, image, warped, self.pixels)
            else:
                for row, view in zip(rows, members, strict=True):
                    view.frame.fill(row, image, self.pixels, threads)
            start += len(members)

    def mirrored(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The batch mirrored left to right."""
        return np.ascontiguousarray(batch[..., ::-1])

    def typical(self, view: View, seed: int) -> View:
        """The view with made-up data for verification: the second image of a pair becomes the mirrored image."""
        return replace(view, other=np.ascontiguousarray(view.image[:, ::-1])) if self.second else view

    def shown(self, view: View) -> Image:
        """The image of a view that this input shows. Raises UsageError if the second image is missing."""
        if not self.second:
            return view.image
        if view.other is None:
            raise UsageError("this network compares two images; give the other one with `against`")
        return view.other


@dataclass(frozen=True)
class SizeInput:
    """The (height, width) px of the image on its canvas, (n, 2), to which two-stage networks clip boxes."""

    name: str = "image_size"
    kind: Literal["size"] = "size"

    def shape(self, canvas: Size) -> tuple[int, ...]:
        """The shape for one view."""
        return (2,)

    def fill(self, batch: NDArray[Any], views: Sequence[View], threads: int) -> None:
        """Write the size of each view to its row of a batch (n, 2)."""
        batch[...] = [view.frame.content_size for view in views]

    def mirrored(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The same sizes."""
        return batch

    def typical(self, view: View, seed: int) -> View:
        """The view unchanged."""
        return view


@dataclass(frozen=True)
class PoseInput:
    """A given pose as maps (n, k, h, w): `peak` times a Gaussian of `sigma` px at each keypoint.

    The map of a keypoint whose score is not above `least_score` is zero. `mirrored_order` (k,) is for each keypoint the
    index of the one that replaces it in a mirrored image. If `keypoints` is "best", there is one map (n, 1, h, w), of
    the keypoint with the highest score.
    """

    mirrored_order: tuple[int, ...]
    sigma: float
    peak: float = 1.0
    least_score: float = 0.0
    keypoints: Literal["all", "best"] = "all"
    name: str = "pose"
    kind: Literal["pose"] = "pose"

    def __post_init__(self) -> None:
        order = self.mirrored_order
        is_order = bool(order) and sorted(order) == list(range(len(order)))
        require(is_order, "inputs.mirrored_order", "every keypoint once")
        require(0 < self.sigma <= 64, "inputs.sigma", "px above 0, 64 at most")

    def shape(self, canvas: Size) -> tuple[int, ...]:
        """The shape for one view on a canvas of (height, width) px."""
        return (len(self.mirrored_order) if self.keypoints == "all" else 1, *canvas)

    def fill(self, batch: NDArray[Any], views: Sequence[View], threads: int) -> None:
        """Write the maps of each view to its row of a batch (n, k, h, w). Raises UsageError for an invalid pose."""
        for row, view in zip(batch, views, strict=True):
            if view.keypoints is None:
                raise UsageError("this network refines poses; give them with `keypoints`")
            if view.keypoints.shape != ((count := len(self.mirrored_order)), 3):
                raise UsageError(f"this network refines poses of {count} keypoints, each x, y and a score")
            first = int(view.keypoints[:, 2].argmax())
            shown = view.keypoints if self.keypoints == "all" else view.keypoints[first : first + 1]
            places: NDArray[np.float32] = np.clip(view.frame.to_canvas(shown[:, :2]), -FARTHEST, FARTHEST)
            across, down = self._gaussians(places[:, 0], row.shape[2]), self._gaussians(places[:, 1], row.shape[1])
            peaks = np.where(shown[:, 2] > self.least_score, self.peak, 0.0)
            row[...] = peaks[:, None, None] * down[:, :, None] * across[:, None, :]

    def _gaussians(self, centres: NDArray[np.float32], size: int) -> NDArray[np.float64]:
        """Gaussians (k, size) around each centre (k,), at pixels 0 to `size` - 1."""
        return np.exp(-((np.arange(size) - centres[:, None].astype(np.float64)) ** 2) / (2 * self.sigma**2))

    def mirrored(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The maps of the mirrored pose, in which left and right keypoints are swapped."""
        return np.ascontiguousarray((batch[:, self.mirrored_order] if self.keypoints == "all" else batch)[..., ::-1])

    def typical(self, view: View, seed: int) -> View:
        """The view with a random pose in the image."""
        random = np.random.default_rng(seed)
        places = random.uniform(0, view.image.shape[1::-1], (len(self.mirrored_order), 2))
        return replace(view, keypoints=np.concatenate((places, np.ones((len(places), 1))), 1).astype(np.float32))


@dataclass(frozen=True)
class PointsInput:
    """Points in space (n, 3, 1, p), x, y and z in mm of the camera, which `place` chooses of a depth picture.

    Where there are fewer than p, the others are 0.
    """

    place: Frustum
    name: str = "points"
    kind: Literal["points"] = "points"

    def placed(self, **changes: Any) -> "PointsInput":
        """The same input with changed fields of its geometry."""
        return replace(self, place=replace(self.place, **changes))

    def shape(self, canvas: Size) -> tuple[int, ...]:
        """The shape for one view, whose canvas is (1, p)."""
        return (3, *canvas)

    def fill(self, batch: NDArray[Any], views: Sequence[View], threads: int) -> None:
        """Write the points of each view to its row of a batch. Raises UsageError without a depth picture or camera."""
        batch[...] = 0
        for row, view in zip(batch, views, strict=True):
            frame = view.frame
            if view.depth is None or not isinstance(frame, FrustumFrame) or frame.camera is None:
                raise UsageError("this network looks at points in space; give `depth` and `camera`")
            points = frame.points(view.depth, frame.camera)
            row[:, 0, : points.shape[1]] = points

    def mirrored(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The points mirrored left to right."""
        return batch * np.array([-1, 1, 1], batch.dtype)[:, None, None]

    def typical(self, view: View, seed: int) -> View:
        """The view with a usual camera, and its brightness as depth."""
        assert isinstance(view.frame, FrustumFrame)
        frame = replace(view.frame, camera=Camera.usual(view.image.shape))
        return replace(view, frame=frame, depth=view.image.mean(2) + 700)


NetworkInput = ImageInput | SizeInput | PoseInput | PointsInput
PlacedInput = ImageInput | PointsInput
"""The inputs with a geometry."""


def feeds(
    inputs: Sequence[NetworkInput],
    views: Sequence[View],
    ports: Mapping[str, Port],
    canvases: Canvases,
    threads: int = 1,
) -> dict[str, Any]:
    """The network's inputs by name for views with the same canvas size.

    `ports` are the backend's inputs by name. A fixed batch is padded with zeros. A port with `takes_images` gets an
    ImageBatch if possible.
    """
    return {each.name: _feed(each, views, ports[each.name], canvases, threads) for each in inputs}


def mirrored(inputs: Sequence[NetworkInput], fed: Mapping[str, Any]) -> dict[str, Any]:
    """The network's inputs mirrored left to right."""
    return {each.name: each.mirrored(fed[each.name]) for each in inputs}


def _feed(each: NetworkInput, views: Sequence[View], port: Port, canvases: Canvases, threads: int) -> Any:
    if port.takes_images and isinstance(each, ImageInput):
        frames = [v.frame for v in views if isinstance(v.frame, ResizedFrame) and v.frame.filter == "opencv"]
        if len(frames) == len(views):
            return ImageBatch([each.shown(view) for view in views], frames, each.pixels)
    count = (port.shape[0] if port.shape else None) or len(views)
    batch = canvases.take(each.name, (count, *each.shape(views[0].frame.canvas_size)), port.dtype)
    each.fill(batch[: len(views)], views, threads)
    batch[len(views) :] = 0
    return batch
