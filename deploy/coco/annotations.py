"""Reads annotations in COCO's format: images, categories, and objects with boxes and keypoints."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..system.errors import InputError
from ..system.files import read_json

_Row = dict[str, Any]


@dataclass(frozen=True)
class Object:
    """An annotated object: its category's id, and its box (x, y, width, height) in px.

    `area` is in px^2, None if not annotated. `keypoints` are x, y in px and a visibility, one after another.
    """

    category: int
    box: tuple[float, float, float, float]
    area: float | None = None
    is_crowd: bool = False
    keypoints: tuple[float, ...] = ()


@dataclass(frozen=True)
class AnnotatedImage:
    """An image with its id, its file name as annotated, its file, and its objects."""

    id: int
    name: str
    file: Path
    objects: tuple[Object, ...] = ()


@dataclass(frozen=True)
class Category:
    """A category's name, and the names of its keypoints if they are annotated."""

    name: str
    keypoints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Annotations:
    """The images and the categories by id; `path` is the file that they come from."""

    path: Path
    images: tuple[AnnotatedImage, ...]
    categories: dict[int, Category]

    @property
    def object_count(self) -> int:
        """The number of annotated objects."""
        return sum(len(image.objects) for image in self.images)

    def check_files(self) -> None:
        """Raise InputError if files of images are missing."""
        missing = [image.file for image in self.images if not image.file.is_file()]
        if missing:
            raise InputError(
                f"{self.path}: {len(missing)} of its {len(self.images)} images are missing, the first is {missing[0]}; "
                "give the folder that their file_name is relative to"
            )


def read_annotations(path: Path, folder: Path) -> Annotations:
    """Read annotations whose images are in `folder`. Raises InputError if they are not in COCO's format."""
    data = read_json(path, "give annotations in COCO's format")
    try:
        return _parsed(path, data, folder)
    except _FormatError as error:
        raise InputError(
            f"{path}: not in COCO's annotation format; {error}; give images, annotations and categories"
        ) from None


class _FormatError(Exception):
    """What is wrong with the annotations."""


def _parsed(path: Path, data: Any, folder: Path) -> Annotations:
    categories: dict[int, Category] = {}
    for i, row in enumerate(_rows(data, "categories")):
        where = f"categories[{i}]"
        category = _new_id(row, where, categories)
        name = _value(row, where, "name", _is_text, "a text")
        points = _value({"keypoints": [], **row}, where, "keypoints", _is_texts, "a list of texts")
        if any(name == other.name for other in categories.values()):
            raise _FormatError(f"{where} repeats the name '{name}'")
        categories[category] = Category(name, tuple(points))
    names: dict[int, str] = {}
    for i, row in enumerate(_rows(data, "images")):
        image = _new_id(row, f"images[{i}]", names)
        names[image] = _value(row, f"images[{i}]", "file_name", _is_text, "a text")
    objects: dict[int, list[Object]] = {image: [] for image in names}
    for i, row in enumerate(_rows(data, "annotations")):
        where = f"annotations[{i}]"
        image = _value(row, where, "image_id", lambda v: _is_whole(v) and v in objects, "the id of an image")
        objects[image].append(_object(row, where, categories))
    images = (AnnotatedImage(id, name, folder / name, tuple(objects[id])) for id, name in names.items())
    return Annotations(path, tuple(images), categories)


def _object(row: _Row, where: str, categories: dict[int, Category]) -> Object:
    category = _value(row, where, "category_id", lambda v: _is_whole(v) and v in categories, "the id of a category")
    box = _value(row, where, "bbox", lambda v: _are_numbers(v) and len(v) == 4, "four numbers")
    area = None if row.get("area") is None else _value(row, where, "area", _is_number, "a number")
    points: list[Any] = row.get("keypoints") or []
    count = 3 * len(categories[category].keypoints)
    if not _are_numbers(points) or len(points) % 3 or (points and count and len(points) != count):
        raise _FormatError(
            f"{where}.keypoints must be {count or 'three'} numbers{'' if count else ' for each keypoint'}"
        )
    return Object(category, tuple(box), area, bool(row.get("iscrowd", 0)), tuple(points))


def _rows(data: Any, name: str) -> list[_Row]:
    rows: Any = cast(_Row, data).get(name) if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in cast(list[Any], rows)):
        raise _FormatError(f"{name} must be a list of objects")
    return cast(list[_Row], rows)


def _value(row: _Row, where: str, name: str, fits: Callable[[Any], bool], wanted: str) -> Any:
    value = row.get(name)
    if not fits(value):
        raise _FormatError(f"{where}.{name} must be {wanted}")
    return value


def _new_id(row: _Row, where: str, known: dict[int, Any]) -> int:
    return _value(row, where, "id", lambda v: _is_whole(v) and v not in known, "a whole number that no other has")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, cast(list[Any], value)))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, cast(list[Any], value)))
