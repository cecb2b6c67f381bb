"""Detection: one network, from images to boxes."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from .backends import Arrays, Backend
from .backends.placed import PlacedImages
from .canvases import Canvases
from .card import Card
from .forms import CornerDecode
from .instances import Instances
from .pipeline import Pipeline, check_outputs, timed
from .postprocess import postprocess
from .preprocess import Frame, Image, frame_for, preprocess_into
from .processors import available_processors


class Detector(Pipeline):
    """A detection network with everything around it; images of a list that share a canvas run together.

    `classes` limits the labels that are kept; `threads` may prepare an image, by default one for each processor. Where
    the backend makes its input of the images itself, its time for that counts as "infer".
    """

    def __init__(
        self, backend: Backend, card: Card, classes: Collection[int] | None = None, threads: int | None = None
    ) -> None:
        check_outputs(backend, card)
        self.card = card
        self._backend = backend
        self._classes = classes
        self._threads = threads or available_processors()
        self._canvases = Canvases()
        self._input = backend.inputs[0]
        self._fixed_batch = self._input.shape[0]
        self._flips = isinstance(card.decode, CornerDecode) and card.decode.flip

    def _find(self, images: Sequence[Image]) -> list[Instances]:
        placed = [frame_for((image.shape[0], image.shape[1]), self.card.input) for image in images]
        groups: dict[tuple[int, int], list[int]] = {}
        for i, frame in enumerate(placed):
            groups.setdefault(frame.canvas_size, []).append(i)
        found: dict[int, Instances] = {}
        for members in groups.values():
            step = self._fixed_batch or len(members)
            for start in range(0, len(members), step):
                chunk = members[start : start + step]
                results = self._run([images[i] for i in chunk], [placed[i] for i in chunk])
                found.update(zip(chunk, results, strict=True))
        return [found[i] for i in range(len(images))]

    def _run(self, images: Sequence[Image], placed: Sequence[Frame]) -> list[Instances]:
        timing = {"pre": 0.0, "infer": 0.0, "post": 0.0}
        outputs: list[Arrays] = []
        for view in [images, [image[:, ::-1] for image in images]] if self._flips else [images]:
            with timed(timing, "pre"):
                batch = self._batch(view, placed)
            with timed(timing, "infer"):
                outputs.append(self._backend.run({self._input.name: batch}))
        found: list[Instances] = []
        with timed(timing, "post"):
            for i, frame in enumerate(placed):
                seen, *mirrored = [_row(view, i) for view in outputs]
                found.append(postprocess(seen, self.card, frame, self._classes, *mirrored))
        share = {stage: 1e3 * spent / len(images) for stage, spent in timing.items()}
        return [replace(instances, timing=share) for instances in found]

    def _batch(self, images: Sequence[Image], placed: Sequence[Frame]) -> NDArray[Any] | PlacedImages:
        if self._input.takes_images:
            return PlacedImages(images, placed, self.card.input)
        shape = (self._fixed_batch or len(images), 3, *placed[0].canvas_size)
        batch = self._canvases.take(shape, self._input.dtype)
        for canvas, image, frame in zip(batch, images, placed, strict=False):
            preprocess_into(canvas, image, self.card.input, frame, self._threads)
        batch[len(images) :] = 0
        return batch


def _row(outputs: Arrays, index: int) -> Arrays:
    return {name: value[index] for name, value in outputs.items()}
