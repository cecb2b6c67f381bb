"""Boxes from a file, for pose networks that look at given people."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..inputs.sources import Picture
from ..pipelines.pipeline import Pipeline
from ..results.instances import Instances
from ..system.errors import InputError, UsageError
from ..system.files import read_json

Key = tuple[str | int, int | None]
"""A picture: its file's name or number, and of a video the frame."""


@dataclass
class GivenBoxes:
    """The boxes of a file by picture; `used` counts those that were asked for."""

    path: Path
    labels: tuple[str, ...]
    rows: dict[Key, list[dict[str, Any]]] = field(default_factory=dict[Key, list[dict[str, Any]]])
    used: int = 0

    def of(self, picture: Picture) -> Instances:
        """A picture's boxes as detections, in the order of the file."""
        entries = self._entries(picture)
        self.used += len(entries)
        for entry in entries:
            if min(entry["bbox"][2:]) < 0:
                raise InputError(f"{self.path}: bbox {entry['bbox']} has a side below 0; give x, y, width, height")
        boxes = np.array([entry["bbox"] for entry in entries], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        scores = np.array([entry.get("score", 1.0) for entry in entries], np.float32)
        labels = np.array([self._label(entry) for entry in entries], np.int64)
        return Instances(boxes, scores, labels, self.labels, (picture.image.shape[1], picture.image.shape[0]))

    def facts(self, picture: Picture) -> dict[str, Any]:
        """COCO's numbers of a picture and its category, where the file has them: its own tools want them back."""
        for entry in self._entries(picture):
            return {name: entry[name] for name in ("image_id", "category_id") if name in entry}
        return {}

    def _entries(self, picture: Picture) -> list[dict[str, Any]]:
        """Those of the picture's name, and of its folder where they say one.

        COCO's number stands for a file whose name is that number, with any zeros before it.
        """
        path = Path(picture.path or picture.name)
        keys = {path.name, int(path.stem) if re.fullmatch("[0-9]{1,18}", path.stem) else path.name}
        entries = [entry for key in keys for entry in self.rows.get((key, picture.index), ())]
        return [entry for entry in entries if may_be_same(path, Path(entry.get("image", "")))]

    def _label(self, entry: dict[str, Any]) -> int:
        return self.labels.index(entry["category"]) if "category" in entry else 0


def read_boxes(path: Path, labels: tuple[str, ...]) -> GivenBoxes:
    """A JSON list of {"image": name or path, "bbox": [x, y, width, height] px}, as detinfer and COCO's results have it.

    "image_id" may stand for "image"; "score" is 1 by default; "frame" numbers the frames of a video. Of entries with
    a "category" those in `labels` count. Raises InputError.
    """
    entries = read_json(path, "give a list of boxes")
    if not isinstance(entries, list):
        raise InputError(f"{path}: not a list; give a JSON list of objects with image and bbox")
    given = GivenBoxes(path, labels)
    for i, entry in enumerate(cast(list[Any], entries)):
        if problem := _problem(entry):
            raise InputError(f"{path}: entry {i} {problem}; each is an object with image and bbox")
        if entry.get("category", labels[0]) in labels:
            key = entry["image_id"] if "image" not in entry else Path(entry["image"]).name
            given.rows.setdefault((key, entry.get("frame")), []).append(entry)
    if not given.rows:
        raise InputError(f"{path}: no box of {' or '.join(labels)} in it; check its categories")
    return given


def boxes_for(model: Pipeline, path: Path | None) -> GivenBoxes | None:
    """The boxes of --boxes for a model that needs them. Raises UsageError if only one of both is given."""
    if not model.takes_boxes:
        if path is not None:
            raise UsageError("--boxes is for a pose network as --model; leave it out, or choose one")
        return None
    if path is None:
        raise UsageError(
            f"{model.card.model} needs boxes; give them with --boxes FILE, or make it the --pose-model of a detector"
        )
    return read_boxes(path, model.card.labels)


def may_be_same(path: Path, stated: Path) -> bool:
    """Whether two paths may be of one file, seen from different folders: one ends as the other is."""
    shared = min(len(path.parts), len(stated.parts))
    return path.parts[len(path.parts) - shared :] == stated.parts[len(stated.parts) - shared :]


def _problem(entry: Any) -> str | None:
    """What keeps an entry from being a box in an image."""
    if not isinstance(entry, dict):
        return "is no object"
    row = cast(dict[str, Any], entry)
    box: Any = row.get("bbox")
    if not isinstance(box, list) or len(cast(list[Any], box)) != 4 or not all(map(_is_number, cast(list[Any], box))):
        return "has no bbox of four numbers"
    if not isinstance(row.get("image", row.get("image_id")), str | int) or not isinstance(row.get("image", ""), str):
        return "names no image"
    if not _is_number(row.get("score", 1.0)):
        return "has a score that is no number"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
