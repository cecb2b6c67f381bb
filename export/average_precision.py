"""COCO average precision (AP) of boxes, and its annotations.

As in the reference implementation (Lin et al., arXiv 1405.0312): the precision at 101 recalls, averaged over the
classes that occur and over IoU thresholds from 0.50 to 0.95 in steps of 0.05.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..deploy.results.instances import Instances
from ..deploy.system.errors import InputError

ANNOTATIONS = "annotations.json"
"""Name of the COCO annotation file in a folder of images."""
MOST = 100
"""Number of detections that count for each image and class, best first."""
_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Truth:
    """Ground truth of one image: boxes (g, 4) xyxy px, labels (g,), and whether each box is a crowd (g,)."""

    file: Path
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    is_crowd: NDArray[np.bool_]


def read_annotations(folder: Path, labels: Sequence[str]) -> list[Truth]:
    """Read the images and true boxes in a folder's annotations.json.

    Raises InputError if the file is not in COCO's format.
    """
    path = folder / ANNOTATIONS
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        names = {category["id"]: category["name"] for category in given["categories"]}
        if unknown := sorted(set(names.values()) - set(labels)):
            raise InputError(f"{path}: the model has no label '{unknown[0]}'; give its labels with --labels")
        rows: dict[Any, list[tuple[Any, int, bool]]] = {image["id"]: [] for image in given["images"]}
        for each in given["annotations"]:
            label = labels.index(names[each["category_id"]])
            rows[each["image_id"]].append((each["bbox"], label, bool(each.get("iscrowd", 0))))
        return [_truth(folder / image["file_name"], rows[image["id"]]) for image in given["images"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not in COCO's annotation format; {error!r}; give images, annotations and categories"
        ) from error


def _truth(file: Path, rows: Sequence[tuple[Any, int, bool]]) -> Truth:
    boxes = np.array([row[0] for row in rows], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Truth(file, boxes, np.array([row[1] for row in rows], np.int64), np.array([row[2] for row in rows], bool))


def average_precision(found: Sequence[Instances], truths: Sequence[Truth]) -> float:
    """AP in percent, of one entry per image. Detections are sorted by score and include low scores."""
    classes = sorted({int(label) for truth in truths for label in truth.labels[~truth.is_crowd]})
    if not classes:
        return 0.0
    return 100 * float(np.mean([_of_class(found, truths, label) for label in classes]))


def _of_class(found: Sequence[Instances], truths: Sequence[Truth], label: int) -> float:
    scores: list[NDArray[np.float32]] = []
    hits: list[NDArray[np.int8]] = []
    total = 0
    for instances, truth in zip(found, truths, strict=True):
        own = truth.labels == label
        mine = np.flatnonzero(instances.labels == label)
        mine = mine[np.argsort(-instances.scores[mine], kind="stable")][:MOST]
        scores.append(instances.scores[mine])
        hits.append(_match(instances.boxes[mine].astype(np.float64), truth.boxes[own], truth.is_crowd[own]))
        total += int((own & ~truth.is_crowd).sum())
    order = np.argsort(-np.concatenate(scores), kind="stable")
    outcomes = np.concatenate(hits, 1)[:, order]
    return float(np.mean([_area(row[row >= 0], total) for row in outcomes]))


def _match(boxes: NDArray[np.float64], true: NDArray[np.float64], is_crowd: NDArray[np.bool_]) -> NDArray[np.int8]:
    """For each threshold and box, best first: 1 for a match, 0 for no match, -1 for a box in a crowd."""
    shared = overlaps(boxes, true, is_crowd)
    outcomes = np.zeros((len(_THRESHOLDS), len(boxes)), np.int8)
    for t, threshold in enumerate(_THRESHOLDS):
        free = ~is_crowd
        for i, row in enumerate(shared):
            candidates = np.where(free, row, -1.0)
            if len(row) and candidates.max() >= threshold - 1e-10:
                # Of equal overlaps the last one wins, as in the reference.
                free[len(row) - 1 - int(candidates[::-1].argmax())] = False
                outcomes[t, i] = 1
            elif (row[is_crowd] >= threshold - 1e-10).any():
                outcomes[t, i] = -1
    return outcomes


def overlaps(boxes: NDArray[np.float64], true: NDArray[np.float64], is_crowd: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intersection over union (n, g); for a crowd, intersection over the area of the detected box."""
    low, high = np.maximum(boxes[:, None, :2], true[None, :, :2]), np.minimum(boxes[:, None, 2:], true[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    true_area = (true[:, 2:] - true[:, :2]).prod(1)
    rest = np.where(is_crowd[None], 0.0, true_area[None] - shared)
    return shared / np.maximum(area[:, None] + rest, 1e-9)


def _area(outcomes: NDArray[np.int8], total: int) -> float:
    """The mean over recalls from 0 to 1 of the best precision at that recall or above."""
    hits = np.cumsum(outcomes)
    precision = hits / np.arange(1, len(outcomes) + 1)
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(best[np.searchsorted(hits / total, _RECALLS, side="left")].mean())
