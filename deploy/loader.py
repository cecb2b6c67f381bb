"""A model file to a pipeline: opened, its Card read, adjusted to what the caller wants."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from .backends import Backend, open_backend
from .backends.guarded import GuardedBackend
from .bottom_up import BottomUp
from .card import COMPARES, METADATA_KEY, Card
from .detector import Detector
from .errors import IncompatibleError, UsageError
from .forms import CornerDecode, CropDecode, Decode, GraphDecode, HeatmapDecode, HeatmapMethod, TagDecode
from .parse import FieldError
from .pose import PoseEstimator, TopDown

Model = Detector | PoseEstimator | TopDown | BottomUp


@dataclass(frozen=True)
class Wishes:
    """What a caller wants otherwise than the Card has it; None leaves it as it is there."""

    conf: float | None = None
    iou: float | None = None
    max_det: int | None = None
    fusion: float | None = None
    nms: str | None = None
    decode: str | None = None
    flip: bool | None = None
    scales: tuple[float, ...] | None = None


def load(
    path: str,
    *,
    pose_model: str | None = None,
    backend: str = "auto",
    device: str | None = None,
    threads: int | None = None,
    streams: int = 1,
    conf: float | None = None,
    iou: float | None = None,
    max_det: int | None = None,
    fusion: float | None = None,
    nms: str | None = None,
    decode: str | None = None,
    flip: bool | None = None,
    scales: tuple[float, ...] | None = None,
    classes: Collection[str] | None = None,
) -> Model:
    """Open a model file of ours, or an engine, whose inputs are what it was built for; nothing is built here.

    What is not given comes from the Card; the device is cuda:0 for engines, else cpu, and `streams` how many threads
    an engine serves at a time.

    A detector's file with a `pose_model` gives the poses in its boxes; a file of a network for crops wants boxes with
    each image, and one that sees all people at once wants none. `fusion` is the exponent a of
    score ** a * quality ** (1 - a), for models that predict a quality; `decode` reads heatmaps by another method;
    `flip` says whether the mirrored image runs too, for models that merge both; `scales` are the sizes at which a
    bottom-up network runs; `classes` are labels. With a `pose_model` the kinds of `nms` that compare poses, `decode`
    and `flip` are its. Raises InputError, IncompatibleError or UsageError.
    """
    wishes = Wishes(conf, iou, max_det, fusion, nms, decode, flip, scales)
    runtime: dict[str, Any] = {"backend": backend, "device": device, "threads": threads, "streams": streams}
    if pose_model is None:
        return _open(path, wishes, classes, runtime)
    of_poses = nms is not None and nms.startswith("oks")
    its = Wishes(nms=nms if of_poses else None, decode=decode, flip=flip)
    estimator = _open(pose_model, its, None, runtime)
    if not isinstance(estimator, PoseEstimator):
        raise UsageError(f"{pose_model}: not a pose network for crops; give it as the model itself")
    rest = replace(wishes, nms=None if of_poses else nms, decode=None, flip=None)
    detector = _open(path, rest, classes, runtime)
    if not isinstance(detector, Detector):
        raise UsageError(f"{path}: finds poses itself; leave out the pose model, or choose a detector")
    return TopDown(detector, estimator)


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


def _open(path: str, wishes: Wishes, classes: Collection[str] | None, runtime: dict[str, Any]) -> Model:
    session = GuardedBackend(open_backend(path, **runtime), path)
    card = read_card(session, path)
    try:
        card = _adjusted(card, session, wishes)
    except FieldError as error:
        raise UsageError(f"{error}") from None
    if card.task == "pose" and (classes is not None or wishes.iou is not None):
        flag = "--classes" if classes is not None else "--iou"
        raise UsageError(f"{card.model} looks for {card.labels[0]} and compares poses by OKS; leave out {flag}")
    indices = None if classes is None else _class_indices(classes, card)
    return assemble(session, card, indices, runtime["threads"])


def assemble(
    session: Backend, card: Card, classes: Collection[int] | None = None, threads: int | None = None
) -> Detector | PoseEstimator | BottomUp:
    """A network in its backend with everything around it that its Card says; `classes` limits a detector's labels."""
    if isinstance(card.decode, CropDecode):
        return PoseEstimator(session, card)
    if isinstance(card.decode, TagDecode):
        return BottomUp(session, card)
    return Detector(session, card, classes, threads)


def _adjusted(card: Card, session: Backend, wishes: Wishes) -> Card:
    """The Card as the caller wants it; FieldError or UsageError for what it cannot be."""
    if wishes.fusion is not None:
        if not isinstance(card.decode, CropDecode) and "quality" not in {port.name for port in session.outputs}:
            raise UsageError(f"{card.model} predicts no quality to fuse; leave out --fusion")
        rest = round(1.0 - wishes.fusion, 9)
        card = replace(card, fusion=replace(card.fusion, score_exponent=wishes.fusion, quality_exponent=rest))
    if not isinstance(card.decode, GraphDecode):
        card = replace(card, decode=_adjusted_decode(card.decode, card.model, wishes))
    elif any(wish is not None for wish in (wishes.iou, wishes.nms, wishes.flip, wishes.decode, wishes.scales)):
        raise UsageError("this file suppresses by itself, so --iou and --nms have no effect; export it with --nms none")
    names = {"conf": wishes.conf, "iou": wishes.iou, "max_det": wishes.max_det, "kind": wishes.nms}
    if wishes.nms not in (None, "none") and (card.task == "pose") != str(wishes.nms).startswith("oks"):
        what = "poses, by oks" if card.task == "pose" else "boxes, and has no poses for oks"
        raise UsageError(f"{card.model} compares {what}; choose another --nms")
    if wishes.nms in COMPARES and COMPARES[wishes.nms] not in {port.name for port in session.outputs}:
        raise UsageError(f"{card.model} has no output '{COMPARES[wishes.nms]}' to suppress by; choose another --nms")
    return replace(card, suppress=replace(card.suppress, **{k: v for k, v in names.items() if v is not None}))


def _adjusted_decode(decode: Decode, model: str, wishes: Wishes) -> Decode:
    if wishes.flip is not None:
        if not isinstance(decode, CornerDecode | CropDecode | TagDecode):
            raise UsageError(f"{model} has no rule to merge what a mirrored image shows; leave out --flip")
        decode = replace(decode, flip=wishes.flip)
    if wishes.scales is not None:
        if not isinstance(decode, TagDecode):
            raise UsageError(f"{model} runs at one size; leave out scales")
        decode = replace(decode, scales=wishes.scales)
    if wishes.decode is not None:
        if not isinstance(decode, HeatmapDecode):
            raise UsageError(f"{model} has no heatmap for each keypoint of a crop; leave out --decode")
        if wishes.decode not in get_args(HeatmapMethod):
            raise UsageError(f"unknown method '{wishes.decode}'; choose {', '.join(get_args(HeatmapMethod))}")
        method = cast(HeatmapMethod, wishes.decode)
        if method != decode.method:
            # Both smooth as the labels were drawn: 11 px for a sigma of 2, 17 for 3, as their authors do.
            blur = max(3, int(6 * decode.sigma - 2) // 2 * 2 + 1) if method in ("dark", "udp") else decode.blur
            decode = replace(decode, method=method, blur=blur)
    return decode


def _class_indices(classes: Collection[str], card: Card) -> frozenset[int]:
    unknown = [name for name in classes if name not in card.labels]
    if unknown:
        raise UsageError(f"unknown class '{unknown[0]}'; {card.model} knows {', '.join(card.labels)}")
    return frozenset(card.labels.index(name) for name in classes)
