"""Top-down networks: each box becomes a crop, and all crops of a call run together."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..card import Card
from ..contract.fusion import fuse
from ..contract.port import Arrays, Backend
from ..forms.form import CropForm, Reading
from ..inputs.canvases import Canvases
from ..inputs.crop import Crop, WarpedFrame
from ..inputs.geometry import Image
from ..inputs.network_inputs import View, feeds, mirrored
from ..results.instances import Instances
from ..suppress import suppress
from ..system.errors import UsageError
from .pipeline import Pipeline, check_ports, checked, no_time, timed

Rows = Sequence[ArrayLike]
"""One array per image."""

_MOST_CROPS = 64
"""The largest batch of crops. Larger ones are not faster and need more memory."""


class PoseEstimator(Pipeline):
    """Runs a top-down network on boxes of images. It is thread-safe."""

    takes_boxes: ClassVar[bool] = True

    def __init__(
        self, backend: Backend, card: Card, classes: Collection[int] | None = None, threads: int | None = None
    ) -> None:
        check_ports(backend, card)
        self._card, self._form, self._place = card, cast(CropForm, card.form), cast(Crop, card.input.place)
        self._backend = backend
        self._canvases = Canvases()
        self._ports = {port.name: port for port in backend.inputs}
        self._fixed_batch = self._ports[card.input.name].shape[0]

    @property
    def card(self) -> Card:
        return self._card

    @overload
    def __call__(self, image: Image, boxes: ArrayLike | None = None, scores: ArrayLike | None = None) -> Instances: ...
    @overload
    def __call__(
        self, image: Sequence[Image], boxes: Rows | None = None, scores: Rows | None = None
    ) -> list[Instances]: ...
    def __call__(
        self, image: Image | Sequence[Image], boxes: Any = None, scores: Any = None
    ) -> Instances | list[Instances]:
        """Run on each box. All results are returned, in the order of the boxes, whatever their scores.

        Shapes: image (h, w, 3) uint8 BGR, boxes (n, 4) xyxy px, scores (n,), 1 by default; or a list of each. The
        score of a result is the fusion of the score of its box and the quality that the network gives. Raises
        UsageError for an invalid image or box.
        """
        if boxes is None:
            raise UsageError(
                f"{self.card.model} needs boxes; give them with `boxes`, or use it as the pose model of a detector"
            )
        if isinstance(image, np.ndarray):
            return self.estimate(checked([image]), [self._given(image, boxes, scores)])[0]
        given = zip(checked(image), boxes, scores or [None] * len(image), strict=True)
        return self.estimate(image, [self._given(*each) for each in given])

    def find(self, images: Sequence[Image]) -> list[Instances]:
        boxes = [[(0, 0, image.shape[1], image.shape[0])] for image in images]
        return self(images, boxes=boxes)

    def estimate(self, images: Sequence[Image], found: Sequence[Instances]) -> list[Instances]:
        """Run on the boxes of each image's detections. Scores are fused and columns added; other fields are kept."""
        timing = no_time()
        with timed(timing, "pre"):
            views = [
                View(image, self._place.of_box(box, (image.shape[0], image.shape[1])), keypoints=pose)
                for image, one in zip(images, found, strict=True)
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

    def _given(self, image: Image, boxes: ArrayLike, scores: ArrayLike | None) -> Instances:
        """The caller's boxes as Instances with the first label."""
        rows = np.array(boxes, np.float32).reshape(-1, 4)
        own = np.ones(len(rows), np.float32) if scores is None else np.array(scores, np.float32)
        if own.shape != (len(rows),):
            raise UsageError(f"{len(rows)} boxes need as many scores, not an array of shape {own.shape}")
        size = (image.shape[1], image.shape[0])
        return Instances(rows, own, np.zeros(len(rows), np.int64), self.card.labels, size)


def _poses(found: Instances) -> Sequence[NDArray[np.float32] | None]:
    """The given pose of each box or None, for networks that refine poses."""
    known: NDArray[np.float32] | None = found.keypoints
    return [None] * len(found) if known is None else list(known)
