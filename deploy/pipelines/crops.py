"""One network that sees boxes of an image: every box becomes a crop, and all crops of a call run together."""

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
"""An array for each image."""

_MOST_CROPS = 64
"""So many crops run at once: more are no faster and take memory."""


class PoseEstimator(Pipeline):
    """A network for boxes of an image, with everything around it; safe to call from several threads."""

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
        """What is in each box, in the order of the boxes: none is dropped, whatever its score.

        Shapes: image (h, w, 3) uint8 BGR, boxes (n, 4) xyxy px, scores (n,), 1 by default; or a list of each. The score
        of a result is that of its box times that of what was found, by the Card's fusion. Raises UsageError for what is
        no image or no box.
        """
        if boxes is None:
            raise UsageError(
                f"{self.card.model} looks at boxes; give them with `boxes`, or make it the pose model of a detector"
            )
        if isinstance(image, np.ndarray):
            return self.estimate(checked([image]), [self._given(image, boxes, scores)])[0]
        given = zip(checked(image), boxes, scores or [None] * len(image), strict=True)
        return self.estimate(image, [self._given(*each) for each in given])

    def find(self, images: Sequence[Image]) -> list[Instances]:
        boxes = [[(0, 0, image.shape[1], image.shape[0])] for image in images]
        return self(images, boxes=boxes)

    def estimate(self, images: Sequence[Image], found: Sequence[Instances]) -> list[Instances]:
        """What is in every box of `found`, one of them an image, whose other fields stay."""
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
        """The results that stay by the Card's suppression, best first."""
        return suppress(found, self.card.suppress, self._form.compares)

    def _parts(self, views: Sequence[View]) -> Iterator[Sequence[View]]:
        step = self._fixed_batch or _MOST_CROPS
        return (views[start : start + step] for start in range(0, len(views), step))

    def _read(self, views: Sequence[View], timing: dict[str, float]) -> Reading:
        """Run some crops, and what the form makes of their outputs."""
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
        """Detections of one image with what was read in their boxes."""
        if not readings:
            return found.with_columns(*self._form.nothing(self.card))
        quality = np.concatenate([reading.quality for reading in readings])[rows]
        columns = [
            parts[0].joined(parts)[rows] for parts in zip(*(reading.columns for reading in readings), strict=True)
        ]
        scores = fuse(found.scores, quality.astype(np.float32), self.card.fusion)
        return replace(found, scores=scores.astype(np.float32)).with_columns(*columns)

    def _given(self, image: Image, boxes: ArrayLike, scores: ArrayLike | None) -> Instances:
        """Boxes of a caller as detections of the first label."""
        rows = np.array(boxes, np.float32).reshape(-1, 4)
        own = np.ones(len(rows), np.float32) if scores is None else np.array(scores, np.float32)
        if own.shape != (len(rows),):
            raise UsageError(f"{len(rows)} boxes need as many scores, not an array of {own.shape}")
        size = (image.shape[1], image.shape[0])
        return Instances(rows, own, np.zeros(len(rows), np.int64), self.card.labels, size)


def _poses(found: Instances) -> Sequence[NDArray[np.float32] | None]:
    """The pose that is known of each box, for networks that refine poses."""
    known: NDArray[np.float32] | None = found.keypoints
    return [None] * len(found) if known is None else list(known)
