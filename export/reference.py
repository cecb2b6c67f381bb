"""Comparison of an exported file with another framework's detections on the same images, in COCO's result format."""

import json
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
from ..deploy.forms import Form
from ..deploy.inputs.image import read_image
from ..deploy.pipelines.detector import Detector
from ..deploy.results.instances import Instances
from ..deploy.system.errors import InputError, UsageError
from .progress import Progress
from .verify_ap import ANNOTATIONS

_IOU, _SCORE = 0.9, 0.01
"""A detection matches at this IoU or above and within this difference of the score."""


@dataclass(frozen=True)
class Agreement:
    """The number of detections of the framework, of the file, and of matches in label, box and score."""

    expected: int
    found: int
    matched: int


@dataclass(frozen=True)
class Found:
    """A framework's detections in one image: boxes (n, 4) xyxy px, scores (n,) and labels (n,)."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]


def check_reference(file: str | Path, images: str | Path | None, form: Form) -> None:
    """Raise UsageError unless the images have annotations and the network is a detector."""
    if form.has_keypoints:
        raise UsageError(f"reference_json {file}: only detections are compared, and this network finds poses")
    if images is None or not (Path(images) / ANNOTATIONS).is_file():
        raise UsageError(f"reference_json {file} needs the folder of its images with their {ANNOTATIONS}: give images")


def compare_reference(path: Path, card: Card, file: Path, folder: Path, backend: str, progress: Progress) -> Agreement:
    """Run a model file on the images of a folder and compare it with a framework's results in `file`.

    Raises InputError if the results are not in COCO's format.
    """
    annotations = read_annotations(folder / ANNOTATIONS, folder)
    references = read_results(file, annotations, card.labels)
    model = Detector(open_backend(str(path), backend=backend), card)
    expected = found = common = 0
    for image in progress.track("reference", annotations.images, len(annotations.images)):
        ours, theirs = model(read_image(image.file)), references[image.id]
        expected, found = expected + len(theirs.scores), found + len(ours)
        common += matched(ours, theirs)
    return Agreement(expected, found, common)


def read_results(file: Path, annotations: Annotations, labels: Sequence[str]) -> dict[int, Found]:
    """Read the detections of each annotated image, by the image's id.

    Raises InputError if the results are not in COCO's format.
    """
    label_of = {id: label for label, id in enumerate(category_ids(annotations, labels))}
    rows: dict[int, list[tuple[Any, float, int]]] = {image.id: [] for image in annotations.images}
    try:
        for each in json.loads(file.read_text(encoding="utf-8-sig")):
            rows[each["image_id"]].append((each["bbox"], float(each["score"]), label_of[each["category_id"]]))
        return {image: _found(own) for image, own in rows.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file}: not in COCO's result format; {error!r}; give image_id, category_id, bbox and score of each"
        ) from error


def matched(ours: Instances, theirs: Found) -> int:
    """The number of matches. Each detection matches at most one of the other side."""
    shared = _iou(ours.boxes.astype(np.float64), theirs.boxes)
    near = np.abs(ours.scores[:, None] - theirs.scores) <= _SCORE
    fits = (shared >= _IOU) & near & (ours.labels[:, None] == theirs.labels)
    count = 0
    for row in np.argsort(-theirs.scores):
        candidates = np.where(fits[:, row], shared[:, row], -1.0)
        if len(candidates) and candidates.max() >= 0:
            fits[candidates.argmax()] = False
            count += 1
    return count


def _iou(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union (n, m)."""
    low, high = np.maximum(boxes[:, None, :2], others[:, :2]), np.minimum(boxes[:, None, 2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    area, other = ((own[:, 2:] - own[:, :2]).prod(1) for own in (boxes, others))
    return shared / np.maximum(area[:, None] + other - shared, 1e-9)


def _found(rows: Sequence[tuple[Any, float, int]]) -> Found:
    boxes = np.array([row[0] for row in rows], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Found(boxes, np.array([row[1] for row in rows], np.float64), np.array([row[2] for row in rows], np.int64))
