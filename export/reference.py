"""Comparison of an exported file with another framework's results on the same images, in COCO's result format."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..deploy.backends.open import open_backend
from ..deploy.card import Card
from ..deploy.coco.annotations import Annotations, read_annotations
from ..deploy.coco.evaluation import category_ids
from ..deploy.inputs.image import read_image
from ..deploy.loader import assemble
from ..deploy.pipelines.annotated import find_annotated
from ..deploy.results.instances import Instances
from ..deploy.suppress.poses import oks
from ..deploy.system.errors import InputError, UsageError
from ..deploy.system.files import read_json
from .progress import Progress
from .verify_ap import ANNOTATIONS

_IOU, _OKS, _SCORE = 0.9, 0.95, 0.01
"""A detection matches at this IoU or above and within this difference of the score, a pose at this OKS or above and
within this mean difference of the keypoints' scores."""
_FORMAT = "give image_id, category_id, score, and bbox or keypoints of each"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """The number of detections or poses of the framework, of the file, and of matches; see `_IOU` and `_OKS`.

    `distance` is the mean distance in px between the keypoints of matches, None without keypoints or matches.
    """

    expected: int
    found: int
    matched: int
    distance: float | None = None


@dataclass(frozen=True)
class Found:
    """A framework's results in one image: boxes (n, 4) xyxy px, scores (n,), labels (n,), keypoints (n, k, 3) xy px and
    score."""

    boxes: Floats
    scores: Floats
    labels: NDArray[np.int64]
    keypoints: Floats


def check_reference(file: str | Path, images: str | Path | None) -> None:
    """Raise UsageError unless the images have annotations."""
    if images is None or not (Path(images) / ANNOTATIONS).is_file():
        raise UsageError(f"reference_json {file} needs the folder of its images with their {ANNOTATIONS}: give images")


def compare_reference(path: Path, card: Card, file: Path, folder: Path, backend: str, progress: Progress) -> Agreement:
    """Run a model file on the images of a folder and compare it with a framework's results in `file`.

    A top-down network runs on the annotated boxes. Raises InputError if the results are not in COCO's format.
    """
    annotations = read_annotations(folder / ANNOTATIONS, folder)
    references = read_results(file, annotations, card)
    model = assemble(open_backend(str(path), backend=backend), card)
    expected = found = common = 0
    distances: list[float] = []
    for image in progress.track("reference", annotations.images, len(annotations.images)):
        theirs = references[image.id]
        ours = find_annotated(model, annotations, image, read_image(image.file))
        expected, found = expected + len(theirs.scores), found + len(ours)
        pairs = matched(ours, theirs, card)
        common += len(pairs)
        if card.form.has_keypoints:
            distances += [_distance(ours.keypoints[i], theirs.keypoints[j]) for i, j in pairs]
    return Agreement(expected, found, common, float(np.mean(distances)) if distances else None)


def read_results(file: Path, annotations: Annotations, card: Card) -> dict[int, Found]:
    """Read the results of each annotated image, by the image's id.

    Raises InputError if the results are not in COCO's format.
    """
    count = (
        len(card.reported_skeleton.keypoints) if card.form.has_keypoints and card.reported_skeleton is not None else 0
    )
    # The categories of poses may have other names than the label, since all have the same keypoints.
    ids = annotations.categories if count else category_ids(annotations, card.labels)
    label_of = dict.fromkeys(ids, 0) if count else {id: label for label, id in enumerate(ids)}
    rows: dict[int, list[tuple[Any, float, int]]] = {image.id: [] for image in annotations.images}
    field = "keypoints" if count else "bbox"
    data = read_json(file, _FORMAT)
    try:
        for each in data:
            values = np.array(each[field], np.float64)
            if values.shape != ((3 * count if count else 4),):
                raise ValueError(f"{field} of {values.size} numbers")
            rows[each["image_id"]].append((values, float(each["score"]), label_of[each["category_id"]]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: not in COCO's result format; {error!r}; {_FORMAT}") from error
    return {image: _found(own, count) for image, own in rows.items()}


def matched(ours: Instances, theirs: Found, card: Card) -> list[tuple[int, int]]:
    """The matches as indices of ours and theirs. Each result matches at most one of the other side."""
    if card.form.has_keypoints and card.reported_skeleton is not None:
        shared = _oks(ours.keypoints.astype(np.float64), theirs.keypoints, card.reported_skeleton.sigmas)
        apart = np.abs(ours.keypoints[:, None, :, 2] - theirs.keypoints[:, :, 2]).mean(2)
        fits = (shared >= _OKS) & (apart <= _SCORE)
    else:
        shared = _iou(ours.boxes.astype(np.float64), theirs.boxes)
        near = np.abs(ours.scores[:, None] - theirs.scores) <= _SCORE
        fits = (shared >= _IOU) & near & (ours.labels[:, None] == theirs.labels)
    pairs: list[tuple[int, int]] = []
    for j in np.argsort(-theirs.scores).tolist():
        candidates = np.where(fits[:, j], shared[:, j], -1.0)
        if len(candidates) and candidates.max() >= 0:
            i = int(candidates.argmax())
            fits[i] = False
            pairs.append((i, j))
    return pairs


def _oks(poses: Floats, others: Floats, sigmas: Sequence[float]) -> Floats:
    """Object keypoint similarity (n, m), with the areas of the keypoints' bounds."""
    both = np.concatenate((poses, others))
    areas = np.ptp(both[..., :2], 1).prod(1) if len(both) else np.zeros(0)
    return oks(both, areas, sigmas)[: len(poses), len(poses) :]


def _distance(pose: NDArray[Any], other: Floats) -> float:
    """The mean distance in px between the keypoints of two poses."""
    return float(np.linalg.norm(pose[:, :2] - other[:, :2], axis=1).mean())


def _iou(boxes: Floats, others: Floats) -> Floats:
    """Intersection over union (n, m)."""
    low, high = np.maximum(boxes[:, None, :2], others[:, :2]), np.minimum(boxes[:, None, 2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    area, other = ((own[:, 2:] - own[:, :2]).prod(1) for own in (boxes, others))
    return shared / np.maximum(area[:, None] + other - shared, 1e-9)


def _found(rows: Sequence[tuple[Any, float, int]], keypoints: int) -> Found:
    scores, labels = np.array([row[1] for row in rows], np.float64), np.array([row[2] for row in rows], np.int64)
    values = np.array([row[0] for row in rows], np.float64)
    if keypoints:
        return Found(np.zeros((len(rows), 4)), scores, labels, values.reshape(-1, keypoints, 3))
    boxes = values.reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Found(boxes, scores, labels, np.zeros((len(rows), 0, 3)))
