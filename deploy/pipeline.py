"""An image in, Instances out."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from .backends import Arrays, Backend, open_backend
from .card import METADATA_KEY, Card, CornerDecode
from .decode import READS
from .errors import IncompatibleError, UsageError
from .instances import Instances
from .parse import FieldError
from .postprocess import postprocess
from .preprocess import Frame, Image, frame_for, preprocess_into
from .sources import pictures


class Detector:
    """A detection network with everything around it; safe to call from several threads."""

    def __init__(self, backend: Backend, card: Card, classes: Collection[int] | None = None) -> None:
        names = {port.name for port in backend.outputs}
        if missing := READS[card.decode.kind] - names:
            raise IncompatibleError(
                f"the model lacks the output {sorted(missing)[0]} that its Card names; export it anew with detexport"
            )
        self.card = card
        self._backend = backend
        self._classes = classes
        self._input = backend.inputs[0].name
        self._fixed_batch = backend.inputs[0].shape[0]
        self._flips = isinstance(card.decode, CornerDecode) and card.decode.flip

    @overload
    def __call__(self, image: Image) -> Instances: ...
    @overload
    def __call__(self, image: Sequence[Image]) -> list[Instances]: ...
    def __call__(self, image: Image | Sequence[Image]) -> Instances | list[Instances]:
        """Detect in one image (h, w, 3) uint8 BGR, or in a list of them.

        Images of a list that share a canvas run together; the result never depends on what runs beside.
        """
        if isinstance(image, np.ndarray):
            return self._detect([image])[0]
        return self._detect(image)

    def stream(self, source: str, batch: int = 1) -> Iterator[Instances]:
        """Detect in every frame of a video, camera, folder or image, `batch` frames a run, in order."""
        group: list[Image] = []
        for picture in pictures(source):
            group.append(picture.image)
            if len(group) == batch:
                yield from self(group)
                group = []
        yield from self(group)

    def _detect(self, images: Sequence[Image]) -> list[Instances]:
        for image in images:
            _check(image)
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
        started = time.perf_counter()
        views = [images, [image[:, ::-1] for image in images]] if self._flips else [images]
        batches = [self._batch(view, placed) for view in views]
        prepared = time.perf_counter()
        outputs = [self._backend.run({self._input: batch}) for batch in batches]
        inferred = time.perf_counter()
        found: list[Instances] = []
        for i, frame in enumerate(placed):
            seen, *mirrored = [_row(view, i) for view in outputs]
            found.append(postprocess(seen, self.card, frame, self._classes, *mirrored))
        finished = time.perf_counter()
        timing = {
            "pre": (prepared - started) * 1e3 / len(images),
            "infer": (inferred - prepared) * 1e3 / len(images),
            "post": (finished - inferred) * 1e3 / len(images),
        }
        return [replace(instances, timing=timing) for instances in found]

    def _batch(self, images: Sequence[Image], placed: Sequence[Frame]) -> NDArray[np.float32]:
        batch = np.zeros((self._fixed_batch or len(images), 3, *placed[0].canvas_size), np.float32)
        for canvas, image, frame in zip(batch, images, placed, strict=False):
            preprocess_into(canvas, image, self.card.input, frame)
        return batch


def load(
    path: str,
    *,
    backend: str = "auto",
    device: str = "cpu",
    threads: int | None = None,
    conf: float | None = None,
    iou: float | None = None,
    max_det: int | None = None,
    fusion: float | None = None,
    nms: str | None = None,
    flip: bool | None = None,
    classes: Collection[str] | None = None,
) -> Detector:
    """Open a model file of ours; what is not given comes from its Card.

    `fusion` is the exponent a of score ** a * quality ** (1 - a), for models that predict a quality; `flip` says
    whether the mirrored image runs too, for models that merge both; `classes` are labels. Raises InputError,
    IncompatibleError or UsageError.
    """
    session = open_backend(path, backend=backend, device=device, threads=threads)
    card = read_card(session, path)
    try:
        card = _adjust(card, session, conf, iou, max_det, fusion, nms, flip)
    except FieldError as error:
        raise UsageError(f"{error}") from None
    return Detector(session, card, None if classes is None else _class_indices(classes, card))


def read_card(session: Backend, path: str) -> Card:
    """The Card inside a model file; IncompatibleError when there is none or it does not parse."""
    text = session.metadata.get(METADATA_KEY)
    if text is None:
        raise IncompatibleError(f"{path}: not a model of ours; it holds no Card; export it with detexport")
    try:
        return Card.from_json(text)
    except FieldError as error:
        raise IncompatibleError(
            f"{path}: its Card does not parse; {error}; export it anew or update detforge"
        ) from None


def _adjust(
    card: Card,
    session: Backend,
    conf: float | None,
    iou: float | None,
    max_det: int | None,
    fusion: float | None,
    nms: str | None,
    flip: bool | None,
) -> Card:
    given = {"conf": conf, "iou": iou, "max_det": max_det, "kind": nms}
    given = {name: value for name, value in given.items() if value is not None}
    if card.decode.kind == "graph" and given.keys() & {"iou", "kind"}:
        raise UsageError("this file suppresses by itself, so --iou and --nms have no effect; export it with --nms none")
    if fusion is not None:
        if "quality" not in {port.name for port in session.outputs}:
            raise UsageError(f"{card.model} predicts no quality to fuse; leave out --fusion")
        card = replace(
            card, fusion=replace(card.fusion, score_exponent=fusion, quality_exponent=round(1.0 - fusion, 9))
        )
    if flip is not None:
        if not isinstance(card.decode, CornerDecode):
            raise UsageError(f"{card.model} has no rule to merge what a mirrored image shows; leave out --flip")
        card = replace(card, decode=replace(card.decode, flip=flip))
    return replace(card, suppress=replace(card.suppress, **given))


def _class_indices(classes: Collection[str], card: Card) -> frozenset[int]:
    unknown = [name for name in classes if name not in card.labels]
    if unknown:
        raise UsageError(f"unknown class '{unknown[0]}'; {card.model} knows {', '.join(card.labels)}")
    return frozenset(card.labels.index(name) for name in classes)


def _check(image: Image) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UsageError(f"an image is (height, width, 3) uint8 BGR, not {image.shape} {image.dtype}")


def _row(outputs: Arrays, index: int) -> Arrays:
    return {name: value[index] for name, value in outputs.items()}
