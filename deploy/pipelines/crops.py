"""Top-down networks: each box becomes a crop, and all crops of a call run together."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..contract.camera import Camera
from ..contract.fusion import fuse
from ..contract.port import Arrays
from ..forms.form import CropForm, Reading
from ..inputs.crop import Crop, WarpedFrame
from ..inputs.frustum import Depth
from ..inputs.geometry import Image
from ..inputs.network_inputs import View, feeds, mirrored
from ..results.instances import Instances
from ..suppress import suppress
from ..system.errors import UsageError
from .network import NetworkPipeline
from .pipeline import no_time, timed

_MOST_CROPS = 64
"""The largest batch of crops. Larger ones are not faster and need more memory."""


class PoseEstimator(NetworkPipeline):
    """Runs a top-down network on boxes of images. It is thread-safe.

    >>> pose = load("corners_markers")
    >>> corners = pose(image, boxes=[[40, 40, 280, 280]])
    >>> corners.keypoints.shape
    (1, 4, 3)
    """

    takes_boxes: bool = True

    @property
    def _form(self) -> CropForm:
        return cast(CropForm, self.card.form)

    def find(self, images: Sequence[Image]) -> list[Instances]:
        return self.estimate(images, [self._given(image, [(0, 0, image.shape[1], image.shape[0])]) for image in images])

    def find_with(self, images: Sequence[Image], **given: Sequence[Any]) -> list[Instances]:
        if "boxes" not in given:
            raise UsageError(
                f"{self.card.model} needs boxes; give them with `boxes`, or use it as the pose model of a detector"
            )
        taken = {"boxes", "scores"}
        taken |= {name for name in ("camera", "depth") if getattr(self, f"takes_{name}")}
        if others := given.keys() - taken:
            return super().find_with(images, **{name: given[name] for name in others})
        scores = given.get("scores", [None] * len(images))
        found = [self._given(*each) for each in zip(images, given["boxes"], scores, strict=True)]
        return self.estimate(images, found, given.get("camera"), given.get("depth"))

    def estimate(
        self,
        images: Sequence[Image],
        found: Sequence[Instances],
        cameras: Sequence[Camera] | None = None,
        depths: Sequence[Any] | None = None,
    ) -> list[Instances]:
        """Run on the boxes of each image's detections. Scores are fused and columns added; other fields are kept.

        Raises UsageError if a depth picture is none, or has not the size of its image.
        """
        timing, place = no_time(), cast(Crop, self.card.input.place)
        each = [None] * len(images) if cameras is None else cameras
        measured = [None] * len(images) if depths is None else list(map(_depth, depths, images))
        with timed(timing, "pre"):
            views = [
                View(
                    image,
                    replace(place.of_box(box, (image.shape[0], image.shape[1])), camera=camera),
                    keypoints=pose,
                    depth=depth,
                )
                for image, one, camera, depth in zip(images, found, each, measured, strict=True)
                for box, pose in zip(one.boxes, _poses(one), strict=True)
            ]
        readings = [self._read(part, timing) for part in self._parts(views)]
        with timed(timing, "post"):
            ends = np.cumsum([0, *map(len, found)]).tolist()
            rows = [slice(*both) for both in pairwise(ends)]
            results = [self._with(one, readings, own) for own, one in zip(rows, found, strict=True)]
        share = {stage: 1e3 * spent / max(1, len(views)) for stage, spent in timing.items()}
        return [replace(one, timing={stage: ms * len(one) for stage, ms in share.items()}) for one in results]

    def suppressed(self, found: Instances) -> Instances:
        """The results after the Card's suppression, best first."""
        return suppress(found, self.card.suppress, self._form.compares)

    def _parts(self, views: Sequence[View]) -> Iterator[Sequence[View]]:
        step = self._fixed_batch or _MOST_CROPS
        return (views[start : start + step] for start in range(0, len(views), step))

    def _read(self, views: Sequence[View], timing: dict[str, float]) -> Reading:
        """Run the network on a batch of crops and decode its outputs with the form."""
        outputs: list[Arrays] = []
        fed: dict[str, Any] = {}
        for is_mirrored in self._form.views:
            with timed(timing, "pre"):
                inputs = self.card.inputs
                fed = mirrored(inputs, fed) if is_mirrored else feeds(inputs, views, self._ports, self._canvases)
            with timed(timing, "infer"):
                out = self._backend.run(fed)
            outputs.append({name: value[: len(views)] for name, value in out.items()})
        frames = [view.frame for view in views if isinstance(view.frame, WarpedFrame)]
        with timed(timing, "post"):
            return self._form.read(outputs[0], outputs[1] if len(outputs) > 1 else None, frames, self.card)

    def _with(self, found: Instances, readings: Sequence[Reading], rows: slice) -> Instances:
        """The detections of one image with the columns and fused scores of their boxes."""
        if not readings:
            return found.with_columns(*self._form.nothing(self.card))
        quality = np.concatenate([reading.quality for reading in readings])[rows]
        columns = [
            parts[0].joined(parts)[rows] for parts in zip(*(reading.columns for reading in readings), strict=True)
        ]
        scores = fuse(found.scores, quality.astype(np.float32), self.card.fusion)
        return replace(found, scores=scores.astype(np.float32)).with_columns(*columns)

    def _given(self, image: Image, boxes: ArrayLike, scores: ArrayLike | None = None) -> Instances:
        """The caller's boxes as Instances with the first label. Raises UsageError for other shapes."""
        rows = _floats(boxes, "boxes")
        rows = rows.reshape(-1, 4) if rows.size == 0 or rows.shape == (4,) else rows
        if rows.shape[1:] != (4,):
            hint = "; give the fifth column as `scores`" if rows.shape[1:] == (5,) else ""
            raise UsageError(f"boxes must be (n, 4), x1 y1 x2 y2 in px, not {rows.shape}{hint}")
        own = np.ones(len(rows), np.float32) if scores is None else _floats(scores, "scores")
        if own.shape != (len(rows),):
            raise UsageError(f"{len(rows)} boxes need as many scores, not an array of shape {own.shape}")
        size = (image.shape[1], image.shape[0])
        return Instances(rows, own, np.zeros(len(rows), np.int64), self.card.labels, size)


def _floats(values: ArrayLike, name: str) -> NDArray[np.float32]:
    """A new array of the values. Raises UsageError if they do not form one."""
    try:
        return np.array(values, np.float32)
    except (TypeError, ValueError):
        raise UsageError(f"{name} must be an array of numbers; check that all rows have the same length") from None


def _depth(values: Any, image: Image) -> Depth:
    """The depth picture of an image. Raises UsageError if it is none, or of another size."""
    depth = np.asarray(values)
    if depth.ndim != 2 or depth.dtype.kind not in "uif" or depth.shape != image.shape[:2]:
        raise UsageError(
            f"depth must be an array {image.shape[:2]} of mm, the size of the image, not {depth.shape} {depth.dtype}"
        )
    return depth


def _poses(found: Instances) -> Sequence[NDArray[np.float32] | None]:
    """The given pose of each box or None, for networks that refine poses."""
    known: NDArray[np.float32] | None = found.keypoints
    return [None] * len(found) if known is None else list(known)
