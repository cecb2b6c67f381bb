"""Opens a model file as a pipeline and applies the caller's options to its Card."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from .adjust import adjusted, class_indices
from .backends.guarded import GuardedBackend
from .backends.open import open_backend
from .card import METADATA_KEY, Card, parse_card
from .choose import choose_model
from .contract.choices import SUPPRESSION
from .contract.parse import FieldError
from .contract.port import Backend
from .options import Options
from .pipelines.crops import PoseEstimator
from .pipelines.detector import Detector
from .pipelines.parts import Parts, parts_of
from .pipelines.pipeline import Pipeline
from .pipelines.refined import Refined
from .pipelines.top_down import TopDown
from .system.errors import UsageError
from .system.flags import options_of
from .system.typed import typed


class _Assembly(Protocol):
    def __call__(
        self, backend: Backend, card: Card, classes: Collection[int] | None, threads: int | None
    ) -> Pipeline: ...


_PIPELINES: dict[str, _Assembly] = {"images": Detector, "pairs": Detector, "crops": PoseEstimator}
"""The pipeline for each value of a form's `runs_on`."""


@dataclass(frozen=True)
class _Runtime:
    """How a file is run."""

    backend: str
    device: str | None
    threads: int | None
    streams: int

    def __post_init__(self) -> None:
        for name in ("threads", "streams"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise UsageError(f"{name} {value} is out of range; give 1 or more")


def load(
    path: str | Path | None = None,
    *,
    pose_model: str | Path | Sequence[str | Path] | None = None,
    refine: str | Path | None = None,
    backend: str = "auto",
    device: str | None = None,
    threads: int | None = None,
    streams: int = 1,
    **options: Any,
) -> Pipeline:
    """Open an exported model file, or an engine that was built before, as a pipeline.

    `path` is the file or the name of an exported variant, such as "gfl_r50", whose newest file in exports/ is chosen;
    "gfl_markers" and "corners_markers" come with the package. Without it, it is the newest detector in exports/, or
    gfl_markers. `options` are the fields of `options.Options`, for example conf=0.3; those not given come from the
    Card. `device` defaults to cuda:0 for engines and to cpu for other files. `streams` is the number of threads that an
    engine serves at a time.

    A detector with a `pose_model` estimates a pose in each of its boxes. A top-down pose network alone needs boxes with
    each image; a bottom-up one does not. Behind a network of whole bodies, a `pose_model` of hands or faces looks at
    each of those that it finds; with a detector before both, `pose_model` is the list of the two. With a `pose_model`,
    the options `decode`, `flip` and an `nms` that compares poses apply to pose models. `refine` is a network that
    refines the poses found. A pipeline can be pickled: the copy opens the files again, also in a process that
    multiprocessing spawns. Raises InputError, IncompatibleError or UsageError.

    >>> detector = load("gfl_markers", conf=0.3)
    >>> found = detector(image)
    >>> found.boxes.shape, [found.names[label] for label in found.labels]
    ((1, 4), ['qr_code'])
    """
    pose_models: list[Any] = list(pose_model) if isinstance(pose_model, list | tuple) else [pose_model]
    for name, value in (("path", path), ("refine", refine), *(("pose_model", one) for one in pose_models)):
        typed(name, str | Path | None, value)
    file = str(choose_model(None if path is None else str(path)))
    pose_files = [str(choose_model(str(one))) for one in pose_models if one is not None]
    refine_file = None if refine is None else str(choose_model(str(refine)))
    chosen = options_of(Options, options)
    runtime = asdict(
        options_of(_Runtime, {"backend": backend, "device": device, "threads": threads, "streams": streams})
    )
    pipeline = _open(file, _options_of_first(chosen) if pose_files else chosen, runtime)
    for pose_file in pose_files:
        pipeline = _with_poses(pipeline, file, pose_file, chosen, runtime)
    if refine_file is not None:
        pipeline = _refined(pipeline, refine_file, runtime)
    files = {"path": Path(file).resolve(), "refine": refine_file and Path(refine_file).resolve()}
    poses = [Path(one).resolve() for one in pose_files]
    pipeline.reopen = partial(load, **files, pose_model=poses, **runtime, **options)
    return pipeline


def _options_of_first(options: Options) -> Options:
    """The options of a network behind which a pose network runs."""
    return replace(options, nms=None if _is_of_poses(options.nms) else options.nms, decode=None, flip=None)


def _is_of_poses(nms: str | None) -> bool:
    return nms in SUPPRESSION["poses"] and nms not in SUPPRESSION["boxes"]


def _with_poses(first: Pipeline, path: str, pose_model: str, options: Options, runtime: dict[str, Any]) -> Pipeline:
    """A pipeline, and a pose network on its boxes, or on the hands or faces of its poses."""
    own = Options(nms=options.nms if _is_of_poses(options.nms) else None, decode=options.decode, flip=options.flip)
    estimator = _open(pose_model, own, runtime)
    if not isinstance(estimator, PoseEstimator):
        raise UsageError(f"{pose_model}: not a top-down pose network; give it as the model itself")
    if any(parts_of(first.skeleton, label) for label in estimator.card.labels):
        return Parts(first, estimator)
    if not isinstance(first, Detector) or first.card.form.has_keypoints:
        raise UsageError(f"{path}: finds poses itself; leave out the pose model, or choose a detector")
    return TopDown(first, estimator)


def _refined(first: Pipeline, refine: str, runtime: dict[str, Any]) -> Refined:
    """A pipeline that finds poses, and a network that refines them."""
    refiner = _open(refine, Options(), runtime)
    if not isinstance(refiner, PoseEstimator):
        raise UsageError(f"{refine}: does not refine poses; choose a network that takes a pose, such as posefix")
    return Refined(first, refiner)


def read_card(session: Backend, path: str) -> Card:
    """The Card of an opened model file. Raises IncompatibleError if there is none or it does not parse."""
    return parse_card(session.metadata.get(METADATA_KEY), path)


def assemble(
    session: Backend, card: Card, classes: Collection[int] | None = None, threads: int | None = None
) -> Pipeline:
    """The pipeline that runs a backend as the Card says; `classes` are the indices of the labels a detector keeps."""
    return _PIPELINES[card.form.runs_on](session, card, classes, threads)


def _open(path: str, options: Options, runtime: dict[str, Any]) -> Pipeline:
    session = GuardedBackend(open_backend(path, **runtime), path)
    card = read_card(session, path)
    try:
        card = adjusted(card, options, {port.name for port in session.outputs})
    except FieldError as error:
        raise UsageError(f"{error}") from None
    return assemble(session, card, class_indices(card, options), runtime["threads"])
