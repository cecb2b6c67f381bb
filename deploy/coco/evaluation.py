"""COCO's average precision (AP) of boxes and keypoints, by faster-coco-eval."""

import difflib
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..columns.keypoints import Keypoints
from ..contract.skeleton import Skeleton
from ..results.instances import Instances
from ..system.errors import IncompatibleError, InputError
from .accuracy import Accuracy, Precision
from .annotations import AnnotatedImage, Annotations, Object

LEAST_SCORE = 0.01
"""Score threshold for measuring AP, which counts detections with low scores too."""
_FIELDS = ("bbox", "score", "keypoints")
_AREA_OF_BOX = 0.53
"""The usual part of a person's box that the person covers, for OKS without an annotated area."""


class Evaluation:
    """Collects detections in annotated images, and evaluates them.

    The model's labels and the categories are matched by name. Detections of labels that are no category do not count.
    Keypoints are evaluated if the model has a skeleton and the annotations have keypoints, else boxes. They are matched
    by name too: those of the model that are not annotated do not count. Raises InputError if annotated objects have a
    category that the model does not have, or keypoints.
    """

    def __init__(self, annotations: Annotations, labels: Sequence[str], skeleton: Skeleton | None = None) -> None:
        self._annotations, self._skeleton = annotations, skeleton
        self._order: list[int] = []
        self._ids = category_ids(annotations, labels)
        if not annotations.object_count:
            raise InputError(f"{annotations.path}: no object is annotated; AP needs some")
        self.of: Literal["boxes", "keypoints"] = "boxes"
        if skeleton is not None and any(one.keypoints for image in annotations.images for one in image.objects):
            self._order = _annotated(annotations, skeleton)
            self.of = "keypoints"
        self.results: list[dict[str, Any]] = []
        """The detections so far as COCO's results: image_id, category_id, bbox, score, and keypoints of poses."""

    def add(self, image: AnnotatedImage, found: Instances) -> None:
        """Add the detections of one image."""
        self.results += coco_results(self._in_order(found), image.id, self._ids)

    def _in_order(self, found: Instances) -> Instances:
        """The detections with the annotated keypoints."""
        column = found.columns.get("keypoints")
        if self.of == "boxes" or not isinstance(column, Keypoints):
            return found
        return found.with_columns(replace(column, values=column.values[:, self._order]))

    def accuracy(self) -> Accuracy:
        """The AP of all detections so far. Raises IncompatibleError if faster-coco-eval is not installed."""
        names = {id: category.name for id, category in self._annotations.categories.items()}
        ids, precision = self._precision()
        classes = {
            names[id]: Precision(*_means(precision[:, :, i]))
            for i, id in enumerate(ids)
            if (precision[:, :, i] > -1).any()
        }
        return Accuracy(*_means(precision), self.of, classes)

    def by_overlap(self) -> dict[float, float]:
        """The AP in percent of all detections so far at each threshold of IoU or OKS, 0.50 to 0.95."""
        _, precision = self._precision()
        return {(50 + 5 * i) / 100: _mean(part) for i, part in enumerate(precision)}

    def _precision(self) -> tuple[list[int], NDArray[np.float64]]:
        """The ids of the categories, and the precision (threshold, recall, category); -1 without objects."""
        try:
            library: Any = import_module("faster_coco_eval")
        except ImportError:
            raise IncompatibleError(
                "AP needs the package faster-coco-eval, which is not installed; pip install 'detforge[eval]'"
            ) from None
        truth = library.COCO(self._truth(), print_function=_say_nothing)
        dropped = "bbox" if self.of == "keypoints" else "keypoints"  # the package decides by the fields that it sees
        results = [{key: value for key, value in row.items() if key != dropped} for row in self.results]
        kind = "bbox" if self.of == "boxes" else "keypoints"
        sigmas = None if self._skeleton is None else [self._skeleton.sigmas[i] for i in self._order]
        options = {"print_function": _say_nothing, "kpt_oks_sigmas": sigmas}
        evaluation = library.COCOeval_faster(truth, truth.loadRes(results), kind, **options)
        evaluation.evaluate()
        evaluation.accumulate()
        return evaluation.params.catIds, np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]

    def _truth(self) -> dict[str, Any]:
        rows = [
            {"id": i, "image_id": image.id, **_as_row(one, self.of)}
            for i, (image, one) in enumerate(
                ((image, one) for image in self._annotations.images for one in image.objects), 1
            )
        ]
        categories = [{"id": id, "name": category.name} for id, category in self._annotations.categories.items()]
        return {
            "images": [{"id": image.id} for image in self._annotations.images],
            "annotations": rows,
            "categories": categories,
        }


def category_ids(annotations: Annotations, labels: Sequence[str]) -> list[int | None]:
    """The id of the category with the name of each label, None without one.

    Raises InputError if annotated objects have a category that is no label.
    """
    ids = {category.name: id for id, category in annotations.categories.items()}
    present = {one.category for image in annotations.images for one in image.objects}
    unknown = [name for name, id in ids.items() if id in present and name not in labels]
    if unknown:
        labels = [label for label in labels if label]
        near = difflib.get_close_matches(unknown[0], labels, n=3)
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        hint = f"it has {', '.join(near or labels[:3])}{'' if near or len(labels) <= 3 else ', …'}"
        raise InputError(
            f"{annotations.path}: the model has no label '{unknown[0]}'{more}; {hint}; "
            "rename the category, or the label with detexport --relabel"
        )
    return [ids.get(label) for label in labels]


def coco_results(found: Instances, image_id: int, ids: Sequence[int | None]) -> list[dict[str, Any]]:
    """The detections of one image as COCO's results. Those whose label has no id are left out."""
    return [
        {"image_id": image_id, "category_id": ids[label], **{key: record[key] for key in _FIELDS if key in record}}
        for label, record in zip(found.labels.tolist(), found.to_coco(), strict=True)
        if ids[label] is not None
    ]


def _annotated(annotations: Annotations, skeleton: Skeleton) -> list[int]:
    """The model's keypoint for each annotated one: that of the same name, or of the same number if names differ.

    Raises InputError if there is none.
    """
    own = skeleton.keypoints
    present = {one.category for image in annotations.images for one in image.objects if one.keypoints}
    known = {annotations.categories[id].keypoints for id in present}
    orders = {tuple(map(own.index, names)) for names in known if names and set(names) <= set(own)}
    if len(orders) > 1:
        raise InputError(f"{annotations.path}: categories have keypoints in different orders; give them in one")
    order = list(orders.pop()) if orders else list(range(len(own)))
    for image in annotations.images:
        for one in image.objects:
            if one.keypoints and len(one.keypoints) != 3 * len(order):
                raise InputError(
                    f"{annotations.path}: an object in {image.name} has {len(one.keypoints) // 3} keypoints, but the "
                    f"model finds {len(order)}; give annotations with the model's keypoints, or their names"
                )
    return order


def _as_row(one: Object, of: str) -> dict[str, Any]:
    """An object as COCO's evaluation reads it."""
    area = one.box[2] * one.box[3] * (_AREA_OF_BOX if of == "keypoints" else 1.0) if one.area is None else one.area
    row: dict[str, Any] = {
        "category_id": one.category,
        "bbox": list(one.box),
        "area": area,
        "iscrowd": int(one.is_crowd),
    }
    if of == "keypoints":
        points = one.keypoints
        row |= {"keypoints": list(points), "num_keypoints": sum(v > 0 for v in points[2::3])}
    return row


def _means(precision: NDArray[np.float64]) -> tuple[float, float, float]:
    """AP, AP50 and AP75 in percent."""
    return _mean(precision), _mean(precision[0]), _mean(precision[5])


def _mean(precision: NDArray[np.float64]) -> float:
    """In percent; 0 where nothing was to be found."""
    return 100 * float(precision[precision > -1].mean()) if (precision > -1).any() else 0.0


def _say_nothing(*_: Any, **__: Any) -> None:
    pass
