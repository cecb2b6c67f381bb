"""The detections of annotated images as COCO's results."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..coco.annotations import AnnotatedImage, read_annotations
from ..coco.evaluation import category_ids, coco_results
from ..inputs.sources import Picture
from ..results.instances import Instances
from ..system.errors import InputError
from ..system.files import write_text
from .given_boxes import may_be_same


class CocoResults:
    """Collects detections with the ids of an annotation file.

    Images are matched by file name, with their folders where both sides state them, and classes by name. Raises
    InputError if the annotations cannot be read, or annotated objects have a class that the model does not have.
    """

    def __init__(self, annotations: Path, labels: Sequence[str]) -> None:
        self._annotations = annotations
        truth = read_annotations(annotations, Path())
        self._ids = category_ids(truth, labels)
        self._images: dict[str, list[AnnotatedImage]] = {}
        for image in truth.images:
            self._images.setdefault(Path(image.name).name, []).append(image)
        self._rows: list[dict[str, Any]] = []
        self._is_empty = True

    def add(self, picture: Picture, found: Instances) -> None:
        """Add the detections in a picture. Raises InputError if it is not one of the annotated images."""
        path = Path(picture.path or picture.name)
        alike = self._images.get(path.name, [])
        exact = [image for image in alike if image.name == picture.name]
        images = exact or [image for image in alike if may_be_same(path, Path(image.name))]
        if len(images) != 1 or picture.index is not None:
            problem = f"may be {images[0].name} or {images[1].name}" if len(images) > 1 else "not among the images"
            raise InputError(f"{picture.name}: {problem} of {self._annotations}; it is not in the results")
        self._rows += coco_results(found, images[0].id, self._ids)
        self._is_empty = False

    def write(self, path: Path) -> None:
        """Write what was collected as JSON, unless there was no picture."""
        if not self._is_empty:
            write_text(path, json.dumps(self._rows) + "\n")
