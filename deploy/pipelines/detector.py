"""Networks that run on whole images at one or several scales, or on pairs of images."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ..contract.camera import Camera
from ..contract.port import Arrays
from ..forms.form import ImageForm, Run
from ..inputs.geometry import Frame, Image, Size
from ..inputs.given import checked
from ..inputs.network_inputs import View, feeds, mirrored
from ..results.instances import Instances
from ..suppress import suppress
from ..system.errors import UsageError
from .network import NetworkPipeline
from .pipeline import no_time, timed
from .tiles import find_in_tiles

_MOST_PIXELS = 1 << 22
"""The largest batch at several scales, in px of the canvases: such networks need about 400 bytes per px."""


class Detector(NetworkPipeline):
    """Runs a network on whole images. Images with the same canvas size run as one batch. It is thread-safe.

    If the backend preprocesses images, that time counts as "infer".

    >>> detector = load("gfl_markers")
    >>> found = detector(image)
    >>> sorted(found.timing)
    ['infer', 'post', 'pre']
    """

    @property
    def _form(self) -> ImageForm:
        return cast(ImageForm, self.card.form)

    def find(self, images: Sequence[Image]) -> list[Instances]:
        return self._look(images, self._finished)

    def find_with(self, images: Sequence[Image], **given: Sequence[Any]) -> list[Instances]:
        if given.keys() == {"against"} and self._form.runs_on == "pairs":
            return self._look(images, self._finished, against=checked(given["against"]))
        if given.keys() == {"camera"} and self._form.takes_camera:
            return self._look(images, self._finished, cameras=given["camera"])
        return super().find_with(images, **given)

    def find_tiled(self, image: Image, tile: int, overlap: float) -> Instances:
        """Run on the whole image and on tiles of it, and suppress the candidates of all of them together."""
        return find_in_tiles(self._candidates, self._suppressed, checked([image])[0], tile, overlap)

    def needed(self) -> Callable[[Size], Size]:
        scales = self._form.all_scales
        return lambda size: self.card.input.place.whole(size, scales[0], scales[-1]).content_size

    def _candidates(self, images: Sequence[Image]) -> list[Instances]:
        """The candidates in each image before suppression, in px of the image."""
        return self._look(images, self._of_classes)

    def _suppressed(self, found: Instances) -> Instances:
        return replace(suppress(found, self.card.suppress, self._form.compares), colors=self.card.colors)

    def _finished(self, found: Instances) -> Instances:
        return self._suppressed(self._of_classes(found))

    def _of_classes(self, found: Instances) -> Instances:
        return found if self._classes is None else found[np.isin(found.labels, list(self._classes))]

    def _look(
        self,
        images: Sequence[Image],
        finish: Callable[[Instances], Instances],
        *,
        against: Sequence[Image] | None = None,
        cameras: Sequence[Camera] | None = None,
    ) -> list[Instances]:
        """The detections in each image. Images with the same canvas size run as one batch."""
        others = [None] * len(images) if against is None else against
        for image, other in zip(images, others, strict=True):
            if other is not None and other.shape != image.shape:
                raise UsageError(f"a pair has images of one size, not {image.shape[:2]} and {other.shape[:2]}")
        groups: dict[Size, list[int]] = {}
        for i, image in enumerate(images):
            groups.setdefault(self._frame(image, 1.0).canvas_size, []).append(i)
        found: dict[int, Instances] = {}
        for canvas, members in groups.items():
            step = self._fixed_batch or self._most(canvas, len(members))
            for start in range(0, len(members), step):
                chunk = members[start : start + step]
                pairs = [(images[i], others[i]) for i in chunk]
                own = [None if cameras is None else cameras[i] for i in chunk]
                found.update(zip(chunk, self._run(pairs, own, finish), strict=True))
        return [found[i] for i in range(len(images))]

    def _most(self, canvas: Size, count: int) -> int:
        """The batch size for `count` images on canvases of this size."""
        scales = self._form.all_scales
        if len(self._form.views) * len(scales) == 1:
            return count
        return min(count, max(1, int(_MOST_PIXELS / (canvas[0] * canvas[1] * scales[0] ** 2))))

    def _run(
        self,
        pairs: Sequence[tuple[Image, Image | None]],
        cameras: Sequence[Camera | None],
        finish: Callable[[Instances], Instances],
    ) -> list[Instances]:
        """Run the network on images with the same canvas size at every scale and view, and decode with the form."""
        timing = no_time()
        runs: list[list[Run]] = [[] for _ in pairs]
        for scale in self._form.all_scales:
            frames = [self._frame(image, scale) for image, _ in pairs]
            fed: dict[str, Any] = {}
            for is_mirrored in self._form.views:
                with timed(timing, "pre"):
                    fed = self._feeds(pairs, frames, fed, is_mirrored)
                with timed(timing, "infer"):
                    outputs = self._backend.run(fed)
                for i, (own, frame, camera) in enumerate(zip(runs, frames, cameras, strict=True)):
                    seen = None if camera is None else camera.moved(_scale(frame))
                    own.append(Run(_row(outputs, i), frame, is_mirrored, scale, seen, self._threads))
        with timed(timing, "post"):
            found = [
                finish(self._form.find(own, self.card)).scaled((image.shape[1], image.shape[0]), own[0].frame.factor)
                for own, (image, _) in zip(runs, pairs, strict=True)
            ]
        share = {stage: 1e3 * spent / len(pairs) for stage, spent in timing.items()}
        return [replace(one, timing=share) for one in found]

    def _frame(self, image: Image, scale: float) -> Frame:
        return self.card.input.place.whole((image.shape[0], image.shape[1]), scale, self._form.all_scales[-1])

    def _feeds(
        self,
        pairs: Sequence[tuple[Image, Image | None]],
        frames: Sequence[Frame],
        plain: dict[str, Any],
        is_mirrored: bool,
    ) -> dict[str, Any]:
        """The network's inputs. A mirrored view mirrors the `plain` inputs, or the images if the form needs it."""
        if is_mirrored and self._form.mirrors_canvas:
            return mirrored(self.card.inputs, plain)
        step = -1 if is_mirrored else 1
        views = [
            View(image[:, ::step], frame, None if other is None else other[:, ::step])
            for (image, other), frame in zip(pairs, frames, strict=True)
        ]
        return feeds(self.card.inputs, views, self._ports, self._canvases, self._threads)


def _scale(frame: Frame) -> tuple[float, float]:
    """The px of the resized image per px of the image, in x and y."""
    (width, height), (rows, columns) = frame.extent, frame.image_size
    return (width / columns, height / rows) if frame.factor is None else (frame.factor, frame.factor)


def _row(outputs: Arrays, index: int) -> Arrays:
    return {name: value[index] for name, value in outputs.items()}
